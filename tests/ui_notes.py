"""Notes for the app to show: hostile ones, ones with everything that is drawn, long ones, beside the real ones."""

import shutil
from pathlib import Path

HOSTILE = r"""# 77. 什么是 <img src=x onerror="window.pwned=1">？

<script>window.pwned=1</script>正文说的是安全。<svg onload="window.pwned=1"><iframe src="javascript:window.pwned=1"></iframe>
[点我](javascript:window.pwned=1) [外面](https://example.com/a) <a href="javascript:window.pwned=1">也点我</a>
<style>body{display:none}</style><b style="position:fixed;inset:0">盖住</b> ![图](x" onerror="window.pwned=1)
模板 {{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} `${window.pwned=1}` $\href{javascript:window.pwned=1}{x}$
"""
MIXED = r"""# 78. 公式、代码和表格怎么写？

行内 $\sqrt{d_k}$ 和 \(a_1\)，单独成行：

$$
\mathrm{softmax}\left(\frac{QK^T}{\sqrt{d_k}}\right)V
$$

```python
print("你好")
```

| 名字 | 值 |
|---|---|
| 头数 | 8 |

![曲线](./img/curve.png)

![没有的图](./img/none.png) ![网上的图](https://example.com/far.png) ![外面的图](../outside.png)
"""
LONG = "# 79. 训练日志怎么看？\n\n" + "".join(
    f"第 {n} 段：{'日志里按时间记着每一步的损失、学习率和显存，翻起来要有耐心。' * 4}\n\n" for n in range(1, 19)
)
LONG += "梯度裁剪的阈值取 1.0，因为训练日志里出现过尖峰。\n"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def write_notes(folder: Path, real: Path) -> Path:
    """Write them and a copy of the real ones to `corpus` in a folder, and beside it a picture they may not show."""
    corpus = folder / "corpus"
    (corpus / "img").mkdir(parents=True)
    shutil.copy(real / "transformer-bert.md", corpus)
    (corpus / "hostile.md").write_text(HOSTILE, encoding="utf-8")
    (corpus / "mixed.md").write_text(MIXED, encoding="utf-8")
    (corpus / "long.md").write_text(LONG, encoding="utf-8")
    (corpus / "img" / "curve.png").write_bytes(PNG)
    (folder / "outside.png").write_bytes(PNG)
    return folder
