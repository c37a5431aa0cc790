"""Publishing: the bucket is made equal to the output folder.

The base of every plan is the ledger's record of what was published. It is written as uploads
finish, so that an interrupted publish resumes where it was; an object that was put but not recorded
is recognized by its metadata.
"""

from generator.publish.publisher import Progress, Publisher, publisher_of

__all__ = ["Progress", "Publisher", "publisher_of"]
