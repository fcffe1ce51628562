"""What tests share: works, PDFs, servers, models, made by code."""
