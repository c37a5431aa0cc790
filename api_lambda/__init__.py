"""The API that records what people do: its own package, so that a Lambda never holds a renderer.

`access` and `deciding` decide, `recording` does; `door` and `desk` are what a request meets.
"""
