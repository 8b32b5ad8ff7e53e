"""One page of an application: served from memory, watched, looked at, and used with a mouse and a keyboard.

Requests are answered from the ``dist`` files, as a static file server that falls back to index.html would, and all others are refused
and written down. The same is done for workers and frames that the page makes; service workers are refused. What is no request of that kind
(a WebSocket, a window that is opened) is stopped by the policy sent with every page, and by there being no network.

A page draws when it is told to (``HeadlessExperimental.beginFrame``), where the browser can be told: while something is waited for that needs its
frames (animations, scrolling, the mouse), and for a picture. Sixty frames a second that nobody looks at are a fifth of what a page costs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import mimetypes
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from processors.toolchain.devtools import BrowserGone, Connection, PageError
from processors.toolchain.keys import KEYS, MODIFIERS, Key, chord

_T = TypeVar("_T")

ORIGIN = "http://localhost"
"""Where applications believe to be; a secure context, as a real deployment is."""

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-src 'none'"
)
"""Sent with every page: no code but the bundle's runs, not even from a string."""
_KEPT = 50  # entries of one kind that a page's log keeps
_SERVED = 256 << 20
"""Bytes that a page is given in all: one that asks for the same large file again and again is not worth more."""
_FRAME_S = 1 / 30
_DRAWS = 10  # frames that a picture may take
_COMPILES_S = 30.0
_ADD = """
url => new Promise(done => {
  const script = document.createElement('script');
  script.onload = script.onerror = event => { script.remove(); done(event.type === 'load'); };
  try {
    script.src = url;
    document.documentElement.append(script);
  } catch {
    done(false);  // trusted types
  }
})
"""
_AT_REST = """
(() => {
  const fields = [...document.querySelectorAll('input,textarea,[contenteditable]')].map(f => [f, f.style.getPropertyValue('caret-color'), f.style.getPropertyPriority('caret-color')]);
  for (const [field] of fields) field.style.setProperty('caret-color', 'transparent', 'important');
  const endless = [];
  for (const animation of document.getAnimations()) try {
    if (!animation.effect || animation.playbackRate === 0) continue;
    if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
    else { animation.cancel(); endless.push(animation); }
  } catch {}
  return () => {
    for (const [field, value, priority] of fields) field.style.setProperty('caret-color', value, priority);
    for (const animation of endless) animation.play();
  };
})()
"""
"""No caret blinks in a picture and nothing moves: what moves to an end is there, what moves for ever is not. Gives what undoes it."""


@dataclass
class Script:
    """JavaScript that pages are examined with, and what V8 compiled it to: reading half a megabyte anew costs a page more than running it.

    It is compiled in a page of its own (:meth:`Page.compile`), never in one that has seen an application: the code is run in the pages of others.
    """

    source: str
    compiled: bytes | None = None
    """V8's code cache, in base64; empty where there is none to be had."""
    path: str = "millrace-examination.js"


@dataclass
class Log:
    """What a page did that it should not have, in order; each list keeps its first 50 entries."""

    console: list[str] = field(default_factory=list)
    """Messages written with console.error."""
    blocked: list[str] = field(default_factory=list)
    """What the page's content security policy stopped: code from text, addresses elsewhere."""
    exceptions: list[str] = field(default_factory=list)
    """Uncaught exceptions and rejections."""
    failed: list[str] = field(default_factory=list)
    """Own addresses that could not be answered."""
    external: list[str] = field(default_factory=list)
    """Addresses elsewhere that were asked for and refused."""
    popups: list[str] = field(default_factory=list)
    """Windows opened, and closed again."""
    crashed: bool = False

    def note(self, kind: str, text: str) -> None:
        entries: list[str] = getattr(self, kind)
        if len(entries) < _KEPT:
            entries.append(text[:500].encode(errors="replace").decode())  # half a surrogate pair could not be written down

    @property
    def clean(self) -> bool:
        return not (self.console or self.blocked or self.exceptions or self.failed or self.external or self.popups or self.crashed)


class Page:
    """A tab of a context of its own. Whatever waits for the page raises :class:`PageError` where the page fails, ``BrowserGone`` where the browser does."""

    def __init__(
        self, connection: Connection, target: str, session: str, dist: Mapping[str, bytes], viewport: tuple[int, int], log: Log, paced: bool
    ) -> None:
        """``paced``: whether the browser draws only when it is told to."""
        self._connection, self._target, self._session, self._dist, self._log = connection, target, session, dist, log
        self._paced = paced
        self._frame: asyncio.Future[dict[str, Any]] | None = None  # the one begun last
        self._script: Script | None = None  # while it is loaded
        self._compiled: asyncio.Future[dict[str, Any]] | None = None  # while a script is compiled
        self.viewport = viewport
        self._documents: dict[str, bool] = {}  # by loader: whether it has loaded
        self._news: asyncio.Future[dict[str, Any]] | None = None  # of a document, while somebody waits for it
        self._held = 0  # modifiers
        self._at = (0.0, 0.0)
        self._children: set[str] = set()  # sessions of workers and frames
        self._asked: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        self._encoded: dict[str, bytes] = {}
        self._given = 0
        self._server = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Hear and answer no more of it."""
        self._server.cancel()
        for session in (self._session, *self._children):
            self._connection.forget(session, "the page is closed")
        with contextlib.suppress(asyncio.CancelledError):
            await self._server

    async def prepare(self) -> None:
        """Before anything is loaded: answer, watch, and look as every page here does."""
        width, height = self.viewport
        screen = {"width": width, "height": height, "screenWidth": width, "screenHeight": height, "deviceScaleFactor": 1, "mobile": False}
        preferences = [{"name": "prefers-reduced-motion", "value": "reduce"}, {"name": "prefers-color-scheme", "value": "light"}]
        self._post("Page.enable")
        self._post("Page.setLifecycleEventsEnabled", enabled=True)
        self._post("Emulation.setDeviceMetricsOverride", **screen)
        self._post("Emulation.setEmulatedMedia", features=preferences)
        self._post("Emulation.setFocusEmulationEnabled", enabled=True)
        await self._watch(self._session)

    def _watch(self, session: str) -> asyncio.Future[dict[str, Any]]:
        """Hear and answer the page, or a worker or frame of it."""
        self._connection.listen(session, lambda method, said: self._heard(session, method, said))
        for domain in ("Runtime", "Log"):
            self._connection.post(f"{domain}.enable", session)
        self._connection.post("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        return self._connection.post("Fetch.enable", session, patterns=[{"urlPattern": "*"}])

    # What the page says ------------------------------------------------------------------------------------------------------

    def _heard(self, session: str, method: str, said: dict[str, Any]) -> None:
        if method == "Fetch.requestPaused":
            request = said["request"]
            if any(name.lower() == "service-worker" for name in request["headers"]):  # it could answer in our place
                self._log.note("blocked", f"service worker {request['url']}")
                self._connection.post("Fetch.failRequest", session, requestId=said["requestId"], errorReason="BlockedByClient")
            else:
                self._asked.put_nowait((session, said["requestId"], request["url"]))
        elif method == "Page.lifecycleEvent":
            if said["frameId"] == self._target:
                self._learned({said["loaderId"]: self._documents.get(said["loaderId"], False) or said["name"] == "load"})
        elif method == "Page.frameStoppedLoading":  # what was left for an address that is refused never says that it has loaded
            if said["frameId"] == self._target:
                self._learned(dict.fromkeys(self._documents, True))
        elif method == "Runtime.consoleAPICalled":
            if said["type"] == "error":
                self._complain(" ".join(_shown(argument) for argument in said["args"]))
        elif method == "Log.entryAdded":
            if said["entry"]["level"] == "error":
                self._complain(said["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            thrown = said["exceptionDetails"]
            self._log.note("exceptions", _shown(thrown["exception"]).split("\n    at ")[0] if "exception" in thrown else thrown["text"])
        elif method == "Page.compilationCacheProduced":
            if self._compiled and not self._compiled.done():
                self._compiled.set_result(said)
        elif method == "Page.javascriptDialogOpening":
            self._connection.post("Page.handleJavaScriptDialog", session, accept=True)
        elif method == "Target.attachedToTarget":
            child = said["sessionId"]
            self._children.add(child)
            self._watch(child)
            self._connection.post("Runtime.runIfWaitingForDebugger", child)
        elif method == "Target.detachedFromTarget":
            self._children.discard(said["sessionId"])
            self._connection.forget(said["sessionId"], "it is gone")

    def _learned(self, documents: Mapping[str, bool]) -> None:
        self._documents |= documents
        if self._news and not self._news.done():
            self._news.set_result({})

    def _complain(self, text: str) -> None:
        self._log.note("blocked" if "Content Security Policy" in text else "console", text)

    async def _serve(self) -> None:
        """Answer one request after the other, each when the browser has taken what was sent before."""
        while True:
            asked = await self._asked.get()
            try:
                self._answer(*asked)
                await self._connection.drain()
            except BrowserGone:
                return

    def _answer(self, session: str, request: str, url: str) -> None:
        if not url.startswith(ORIGIN + "/"):
            self._log.note("external", url)
            self._connection.post("Fetch.failRequest", session, requestId=request, errorReason="BlockedByClient")
            return
        path = url[len(ORIGIN) + 1 :].split("?")[0].split("#")[0]
        name = f"dist/{path}"
        if path == "favicon.ico" and name not in self._dist:
            self._connection.post("Fetch.fulfillRequest", session, requestId=request, responseCode=204)
            return
        ours = self._script if self._script and path == self._script.path else None
        if name not in self._dist and not ours:
            if "." in path.rsplit("/", 1)[-1]:
                self._log.note("failed", f"/{path}")
            name = "dist/index.html"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith("/javascript"):
            kind += "; charset=utf-8"
        headers = [{"name": "Content-Type", "value": kind}, {"name": "Content-Security-Policy", "value": _POLICY}]
        content = ours.source.encode() if ours else self._dist[name]
        self._given += len(content)
        if self._given > _SERVED:
            self._log.note("failed", f"/{path}: the page has asked for {_SERVED >> 20} MB already")
            self._connection.post("Fetch.failRequest", session, requestId=request, errorReason="Aborted")
            return
        if not ours and name not in self._encoded:
            self._encoded[name] = base64.b64encode(content)
        body = base64.b64encode(content) if ours else self._encoded[name]
        self._connection.post("Fetch.fulfillRequest", session, requestId=request, responseCode=200, responseHeaders=headers, body=body)

    # What is asked of it -----------------------------------------------------------------------------------------------------

    async def goto(self, url: str, timeout_s: float = 10.0) -> None:
        """Load an address, until its ``load`` event."""
        try:
            async with asyncio.timeout(timeout_s):
                before = len(self._documents)
                answer = await self._call("Page.navigate", url=url)
                if said := answer.get("errorText"):
                    raise PageError(f"{url} does not load: {said}")
                while not self._has_loaded(answer.get("loaderId", ""), before):
                    self._news = self._connection.promise(self._session)
                    await self._news
                await self.evaluate("null")  # a page that crashed has stopped loading, too
        except TimeoutError as error:
            raise PageError(f"{url} does not load within {timeout_s:g} s") from error

    def _has_loaded(self, document: str, before: int) -> bool:
        """Whether this document has, or one that it was left for; one that was left at once is never heard of. ``before``: how many were known."""
        known = list(self._documents)
        since = known.index(document) if document in known else before
        return any(self._documents[one] for one in known[since:])

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is: JSON."""
        answer = await self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            raise PageError(_shown(thrown["exception"]) if "exception" in thrown else thrown["text"])
        return answer["result"].get("value")

    async def ask(self, function: str, *arguments: Any) -> Any:
        """What a JavaScript function gives for these arguments (JSON). Where it waits for frames, it must be asked by :meth:`watch`."""
        return await self.evaluate(f"({function}\n)({', '.join(map(json.dumps, arguments))})")

    async def watch(self, function: str, *arguments: Any, unseen: bool = False) -> Any:
        """:meth:`ask`, while the page goes on drawing. ``unseen``: what it does for a frame is done, nothing is painted, and nothing scrolls."""
        return await self._drawing(self.ask(function, *arguments), unseen)

    async def wait(self, seconds: float) -> None:
        """Let the page go on by itself."""
        await self._drawing(asyncio.sleep(seconds))

    async def add(self, script: Script) -> None:
        """Run a script of ours in the page, as what it was compiled to where there is that."""
        url = f"{ORIGIN}/{script.path}"
        if script.compiled:
            self._post("Page.addCompilationCache", url=url, data=script.compiled)
        self._script = script
        try:
            loaded = await self.ask(_ADD, url)
        finally:
            self._script = None
        if loaded is not True:  # its own policy, or its own script, forbids it
            await self.evaluate(f"{script.source}\n;null")

    async def compile(self, script: Script) -> None:
        """Have what ``script`` is compiled to written down in it, for other pages. For a page without an application."""
        self._compiled = self._connection.promise(self._session)
        await self._call("Page.produceCompilationCache", scripts=[{"url": f"{ORIGIN}/{script.path}"}])
        try:
            async with asyncio.timeout(_COMPILES_S):
                await self.add(script)
                script.compiled = str((await self._compiled)["data"]).encode()
        except TimeoutError as error:
            raise PageError("a script is not compiled") from error

    async def content(self) -> str:
        """The document as it is now, as HTML."""
        return str(await self.evaluate("document.documentElement.outerHTML"))

    async def picture(self) -> bytes:
        """What shows now, at rest, as PNG."""
        undo = (await self._call("Runtime.evaluate", expression=_AT_REST))["result"].get("objectId")
        shot = await self._shot(format="png", optimizeForSpeed=True)
        if undo:  # a page that tampers with what this uses gets no picture at rest
            self._post("Runtime.callFunctionOn", objectId=undo, functionDeclaration="function () { this(); }")
        return shot

    async def thumbnail(self, quality: int = 80) -> bytes:
        """What shows now as JPEG: lossy, for pictures that nothing is measured by."""
        return await self._shot(format="jpeg", quality=quality, optimizeForSpeed=True)

    async def _shot(self, **how: Any) -> bytes:
        if not self._paced:
            return base64.b64decode((await self._call("Page.captureScreenshot", **how))["data"])
        for _ in range(_DRAWS):
            if self._frame:
                await self._frame
            self._frame = self._post("HeadlessExperimental.beginFrame", screenshot=how)
            answer = await self._frame
            if data := answer.get("result", {}).get("screenshotData"):  # a page that has not drawn yet has none
                return base64.b64decode(data)
        raise PageError(f"the page draws nothing: {answer.get('error', {}).get('message', '')}")

    async def _drawing(self, work: Awaitable[_T], unseen: bool = False) -> _T:
        """What ``work`` gives, while frames go on. The mouse's wheel is for the compositor and waits for frames that are seen."""
        if not self._paced:
            return await work
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                if not self._frame or self._frame.done():
                    self._frame = self._post("HeadlessExperimental.beginFrame", noDisplayUpdates=unseen)
                either: set[asyncio.Future[Any]] = {task, self._frame}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({task}, timeout=_FRAME_S)
        except BaseException:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # what is raised here says more
            raise
        return await task

    async def move(self, x: float, y: float) -> None:
        """The mouse to a place, in CSS pixels of the viewport."""
        self._at = x, y
        await self._mouse("mouseMoved", button="none")

    async def click(self, x: float, y: float, times: int = 1) -> None:
        await self.move(x, y)
        for count in range(1, times + 1):
            await self._mouse("mousePressed", button="left", buttons=1, clickCount=count)
            await self._mouse("mouseReleased", button="left", clickCount=count)

    async def wheel(self, dy: float) -> None:
        await self._mouse("mouseWheel", deltaX=0, deltaY=dy)

    async def press(self, said: str) -> None:
        """A key, or some at once: ``Enter``, ``Control+A``. Raises ``KeyError`` for one that there is not."""
        keys = chord(said)
        for key in keys:
            await self._key(key, down=True)
        for key in reversed(keys):
            await self._key(key, down=False)

    async def type(self, text: str) -> None:
        """Write text where the focus is, character by character."""
        for character in text:
            if character in KEYS:
                await self.press(character)
            else:
                await self._drawing(self._call("Input.insertText", text=character))

    async def _mouse(self, kind: str, **more: Any) -> None:
        x, y = self._at
        await self._drawing(self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=self._held, **more))

    async def _key(self, key: Key, down: bool) -> None:
        bit = MODIFIERS.get(key.key, 0)
        self._held = self._held | bit if down else self._held & ~bit
        what: dict[str, Any] = {"key": key.key, "code": key.code, "windowsVirtualKeyCode": key.number, "modifiers": self._held}
        writes = down and key.text and not self._held & ~MODIFIERS["Shift"]
        if writes:
            what |= {"text": key.text, "unmodifiedText": key.text}
        await self._drawing(self._call("Input.dispatchKeyEvent", type="keyDown" if writes else "rawKeyDown" if down else "keyUp", **what))

    def _post(self, method: str, **parameters: Any) -> asyncio.Future[dict[str, Any]]:
        return self._connection.post(method, self._session, **parameters)

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._connection.call(method, self._session, **parameters)


def _shown(value: Mapping[str, Any]) -> str:
    """A JavaScript value as a console shows it."""
    if value["type"] in ("string", "boolean") or value.get("subtype") == "null":
        return str(value["value"]) if value["type"] == "string" else json.dumps(value["value"])
    return str(value.get("description", value["type"]))
