"""Reports of a run: recorded beside the reporter, and written as HTML, JSON, trace, JUnit and Markdown.

Imported only by runs that write reports.
"""
