"""What differs between Grafana's versions, in one place; everything else in these tests holds for all of them.

Major version → the statuses that may come. 9 as seen on a running Grafana 9.4, which the stand-in is; later ones by
Grafana's source (pkg/services/live, pkg/services/authn), so that a range stands where the source leaves it to settings.
"""

from __future__ import annotations

STAND_IN_MAJOR = 9
"""The Grafana that the stand-in behaves as."""

# The authentication was rewritten in 10: what it does not know is an answer to the client since, not an error.
_AUTHN_REWRITTEN = 10
# From here on a POST asks for the permission live:push, which Editors and Admins have.
_POST_NEEDS_PERMISSION = 13


def unknown_token(major: int) -> set[int]:
    """Of a well-formed token that was deleted or belongs to another Grafana."""
    return {401, 403} if major >= _AUTHN_REWRITTEN else {500}


def nobody_pushes(major: int) -> set[int]:
    """Of the push socket without credentials, anonymous access off."""
    return {401, 403} if major >= _AUTHN_REWRITTEN else {403}


def viewer_posts(major: int) -> set[int]:
    """Of a good line that a Viewer posts."""
    return {403} if major >= _POST_NEEDS_PERMISSION else {200}
