"""The worker: messages of a queue are recorded, rendered, published, and only then deleted.

Nothing is imported here: a builder as a Lambda needs two of these modules, and not the rest.
"""
