"""Publishing: the bucket is made equal to the output folder.

The base of every plan is the ledger's record of what was published. It is written as uploads
finish, so that a publish that is cut off anywhere goes on where it was; what was put and not noted
is recognised by what stands on the object.
"""

from generator.publish.publisher import Progress, Publisher, publisher_of

__all__ = ["Progress", "Publisher", "publisher_of"]
