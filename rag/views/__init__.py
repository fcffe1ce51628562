"""An answer as Markdown, HTML, notebook output, and a served page."""
