"""Test-only plugin: a local socket through which a test runs Python inside Krita's event loop.

A request is one line of JSON, `{"code": ...}`; its variable `result` after the run comes back as one
line, `{"result": ...}` or `{"error": traceback}`. Names persist between requests.
"""

import json
import os
import traceback

from krita import Extension, Krita

try:
    from PyQt5.QtNetwork import QLocalServer
except ImportError:  # Krita 6 refuses it; with version 6 tried first Krita 5 would crash
    from PyQt6.QtNetwork import QLocalServer


class Probe(Extension):
    def __init__(self, parent):
        super().__init__(parent)
        self._names = {"Krita": Krita}
        self._server = None
        self._sockets = []

    def setup(self):
        pass

    def createActions(self, window):
        if self._server is None:
            self._server = QLocalServer(self)
            QLocalServer.removeServer(os.environ["PAINTERLY_PROBE"])  # left by a Krita that was killed
            self._server.newConnection.connect(self._connected)
            if not self._server.listen(os.environ["PAINTERLY_PROBE"]):
                raise RuntimeError(self._server.errorString())

    def _connected(self):
        socket = self._server.nextPendingConnection()
        # Held on to: else Python's garbage collector takes socket and lambda for a cycle nobody needs.
        self._sockets.append(socket)
        socket.readyRead.connect(lambda: self._read(socket))
        socket.disconnected.connect(socket.deleteLater)

    def _read(self, socket):
        while socket.canReadLine():
            answer = self._run(json.loads(bytes(socket.readLine()).decode())["code"])
            socket.write(json.dumps(answer).encode() + b"\n")
            socket.flush()

    def _run(self, code):
        self._names["result"] = None
        try:
            exec(code, self._names)
            return {"result": json.loads(json.dumps(self._names["result"]))}
        except Exception:
            return {"error": traceback.format_exc()}


Krita.instance().addExtension(Probe(Krita.instance()))
