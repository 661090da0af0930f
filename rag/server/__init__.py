"""The notes over HTTP: OpenAI's protocol, MCP, health and metrics. The only importer of fastapi, uvicorn and mcp."""
