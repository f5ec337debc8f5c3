"""Who may talk to `trtdbg serve`: the browser of its user, and no page of anybody else."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

_COOKIE = "trtdbg-token"

_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing is fetched from elsewhere, and no page frames this one."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests that a page of another site sends, or that lack the token."""

    def __init__(self, *, loopback: bool, token: str | None) -> None:
        """Prepares a guard.

        Args:
            loopback: Whether the server listens only to this machine, so that it is known by
                what names it may be called: a name that an attacker's DNS points here is none.
            token: What the first request has to bring; None demands nothing.
        """
        self._loopback = loopback
        self._token = token

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers 403 to whom it may not concern."""
        self._check_host(request)
        self._check_origin(request)
        if self._token is not None and not self._known(request):
            return self._greet(request, self._token)
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _check_host(self, request: web.Request) -> None:
        name = request.url.host or ""
        if self._loopback and not is_loopback(name):
            raise web.HTTPForbidden(text=f"trtdbg does not answer as {name!r}.\n")

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            raise web.HTTPForbidden(text="trtdbg does not answer to other sites.\n")
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.path != "/":
            raise web.HTTPForbidden(text="trtdbg does not answer to other sites.\n")

    def _known(self, request: web.Request) -> bool:
        return _same(request.cookies.get(_cookie_of(request)), self._token)

    def _greet(self, request: web.Request, token: str) -> web.StreamResponse:
        """Turns the token of the address into a cookie, so that it leaves the address bar."""
        if request.path != "/" or not _same(request.query.get("token"), token):
            text = "Open the address with ?token=... that trtdbg printed.\n"
            raise web.HTTPForbidden(text=text)
        response = web.HTTPSeeOther("/")
        response.set_cookie(_cookie_of(request), token, httponly=True, samesite="Lax")
        return response


def _cookie_of(request: web.Request) -> str:
    # Browsers share cookies among the ports of a host.
    return f"{_COOKIE}-{request.url.port}"


def _same(given: str | None, token: str | None) -> bool:
    if given is None or token is None:
        return False
    return secrets.compare_digest(given.encode(), token.encode())
