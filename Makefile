# Every target sets up what it needs: a virtual environment in .venv, then the packages pinned in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
NOTES ?= corpus
SPLIT ?= test

.DEFAULT_GOAL := help

help:  ## 列出可用的命令
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "需要 Python 3.11 以上；装好后运行：make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "建不了虚拟环境；Debian/Ubuntu 上先运行：apt install python3-venv" >&2; exit 2; }

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.base

$(VENV)/.serve: pyproject.toml constraints.txt | $(VENV)/.base
	$(PIP) -e ".[serve]"
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt $(VENV)/.dev
	$(PIP) -e ".[bench]"
	@touch $@

$(VENV)/.eval: pyproject.toml constraints.txt $(VENV)/.dev
	$(PIP) -e ".[eval]"
	@touch $@

chat: $(VENV)/.base  ## 打开网页，跟笔记对话
	@$(BIN)/python -m ui --corpus $(NOTES)

ask: $(VENV)/.base  ## 在命令行问一句：make ask Q="为什么要除以根号dk"
	@$(BIN)/python -m rag.ask --corpus $(NOTES) $(if $(Q),"$(Q)")

serve: $(VENV)/.serve  ## 开放给别的程序：OpenAI 兼容接口和 MCP
	@$(BIN)/python -m rag.serve --corpus $(NOTES)

ingest: $(VENV)/.base  ## 重新读一遍笔记
	@$(BIN)/python -m rag.ingest $(NOTES)

test: $(VENV)/.dev browser  ## 运行全部测试
	$(BIN)/python -m pytest -q

browser:
	@test -x /usr/bin/chromium || test -n "$$RAG_TEST_BROWSER" || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk >/dev/null; \
	  else \
	    echo "浏览器测试要用 Chromium：Debian/Ubuntu 上运行 sudo apt install chromium fonts-noto-cjk，" \
	      "别的系统用 RAG_TEST_BROWSER=浏览器路径 指给测试" >&2; exit 2; \
	  fi; }

check: $(VENV)/.dev  ## 代码检查：ruff 和 mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench  ## 量一量速度和内存，打印比值
	$(BIN)/python -m eval.bench

eval: $(VENV)/.eval  ## 评测检索、拒答和引用，画成一个网页
	$(BIN)/python -m eval ablate --split $(SPLIT)
	$(BIN)/python -m eval report

fuzz: $(VENV)/.dev  ## 用乱写的输入试：make fuzz MINUTES=30
	$(BIN)/python -m eval.fuzz --minutes $(or $(MINUTES),5)

soak: $(VENV)/.dev  ## 一边问一边改笔记，看内存：make soak MINUTES=30
	$(BIN)/python -m eval.soak --minutes $(or $(MINUTES),30)

screenshots: $(VENV)/.dev browser  ## 给网页的每一页截图，放进 docs/img
	$(BIN)/python -m ui.screenshots

.PHONY: help chat ask serve ingest test browser check bench eval fuzz soak screenshots
