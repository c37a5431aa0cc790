"""The API that records what people do: its own package, so that a Lambda never holds a renderer.

Nothing is here yet. The log that it will append to is `generator.adapters.catalogue`.
"""
