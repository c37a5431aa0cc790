"""Forms, as scripts of a former server send them: urlencoded or multipart, in UTF-8, no files."""

from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl

_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
FORM_TYPES = (_URLENCODED, _MULTIPART)


def form_type(content_type: str) -> str:
    """Return which kind of form a Content-Type is, "" for none."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if kind in FORM_TYPES else ""


def form_fields(content_type: str, content: bytes) -> dict[str, str]:
    """Return the fields of a form, of several with one name the last, without broken ones."""
    if form_type(content_type) == _URLENCODED:
        return dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + content)
    fields: dict[str, str] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            fields[name] = value.decode("utf-8", "replace")
    return fields
