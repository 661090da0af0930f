"""What checking generated sentences is made of; `rag/verify.py` puts it together."""
