"""The local page: prompts are asked, watched, read and verified in a browser (`rag serve`)."""
