"""An answer as HTML: a whole document that needs nothing else, or a fragment for a notebook."""

from rag.views.html.templating import to_fragment, to_html

__all__ = ["to_fragment", "to_html"]
