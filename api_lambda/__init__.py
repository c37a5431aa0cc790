"""The API that records what people do: its own package, so that a Lambda never holds a renderer.

A request passes `dispatch` and one of the services; `events` makes an event of it, which
`event_writer` records or `event_sender` sends.
"""
