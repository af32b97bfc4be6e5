"""Runs ministack in its own interpreter, with the three things that it lacks for us.

Started by `devkit.localstack.server` as a script, with nothing of this project importable. What it adds:

- It ends when its starter does, however that ended, and takes its temporary files (TMPDIR) with it: the starter holds
  the other end of our standard input.
- OPTIONS requests reach their routes. ministack 1.5.33 handles every OPTIONS of an HTTP API itself with a 403, also
  where the API has no CORS configuration and has a route for it; API Gateway then invokes the route
  (AWS docs: "Configure CORS for HTTP APIs"). CloudEvents and other sources shake hands that way.
- All workers use one unpacked copy of a layer. ministack unpacks it for each worker anew: thousands of files, which
  take every cold start a second, and the end of the stack as long for each.
"""

import atexit
import hashlib
import io
import os
import shutil
import signal
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import lambda_runtime
from ministack.services import apigateway, lambda_svc


class RoutedMethod(str):
    """A method that ministack does not recognise as the preflight which it would answer by itself."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True


def route_options() -> None:
    """Make ministack route OPTIONS like any other method, where the API has no CORS configuration."""
    handle, match = apigateway._handle_execute_in_scope, apigateway._match_route

    async def handle_with_options(api_id: str, stage: str, path: str, method: str, *rest: Any) -> Any:
        api = apigateway._apis.get(api_id) or {}
        routed = RoutedMethod(method) if method == "OPTIONS" and not api.get("corsConfiguration") else method
        return await handle(api_id, stage, path, routed, *rest)

    def match_plain(api_id: str, method: str, path: str) -> Any:
        return match(api_id, str(method), path)

    apigateway._handle_execute_in_scope = handle_with_options
    apigateway._match_route = match_plain


def share_layers() -> None:
    """Make workers import a layer from one folder per content, with the bytecode that the first of them wrote there."""
    spawn = lambda_runtime.Worker._spawn
    unpacking = threading.Lock()

    def unpacked(layer: Any) -> str:
        content = lambda_svc._resolve_layer_zip(layer)
        folder = Path(os.environ["TMPDIR"]) / f"layer-{hashlib.sha256(content).hexdigest()[:16]}"
        with unpacking:
            if not folder.exists():
                part = folder.with_suffix(".part")
                zipfile.ZipFile(io.BytesIO(content)).extractall(part)
                part.rename(folder)
        return str(folder)

    def spawn_sharing(worker: Any) -> None:
        given = worker.config
        # The variable by which ministack's own workers find their layers.
        found = {"_LAMBDA_LAYERS_DIRS": os.pathsep.join(map(unpacked, given.get("Layers", [])))}
        variables = {**given.get("Environment", {}).get("Variables", {}), **found}
        worker.config = {**given, "Layers": [], "Environment": {"Variables": variables}}
        try:
            spawn(worker)
        finally:
            worker.config = given

    lambda_runtime.Worker._spawn = spawn_sharing


def end_with_starter() -> None:
    """Make this process end in order as soon as standard input is closed."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    atexit.register(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True)
    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    route_options()
    share_layers()
    end_with_starter()
    sys.argv = ["ministack"]
    app.main()
