"""Workers in which a subprocess ends, hangs or eats memory in the builder's place."""

import os
import signal
import time

from trtdbg.session.server import Handler


class Planted(Handler):
    def handle(self, request):
        from trtdbg.stages import engine

        engine.build_engine = self.fail
        return super().handle(request)


class Crashes(Planted):
    def fail(self, network, target):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Planted):
    def fail(self, network, target):
        time.sleep(600)


class EatsMemory(Planted):
    def fail(self, network, target):
        held = []
        while True:
            held.append(b"x" * (64 << 20))
            time.sleep(0.01)


class IsKilled(Planted):
    def fail(self, network, target):
        os.kill(os.getpid(), signal.SIGKILL)
