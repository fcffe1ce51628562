"""PDF → Document: from the drawing operations of a page to sections of flowing text.

The order of the steps is `paper`; each of the other modules is one of them, or what they speak of.
"""
