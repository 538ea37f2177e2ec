"""The one picture that the logs have."""

from __future__ import annotations

import base64
import hashlib

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
PNG_SHA256 = hashlib.sha256(PNG).hexdigest()
PNG_BASE64 = base64.b64encode(PNG).decode()
