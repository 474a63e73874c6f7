"""The graph of tasks for people and programs: Mermaid, DOT, JSON, SVG and an HTML page."""
