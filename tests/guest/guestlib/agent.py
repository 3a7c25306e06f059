# SPDX-License-Identifier: BSD-3-Clause
"""Commands inside the guest, through the agent in ../init on the second serial port."""

import shlex
import socket
import time

from .sandbox import Failure


class Agent:
    """One connection to a guest's agent; one command at a time."""

    def __init__(self, path, alive):
        """path: the serial port's socket; alive(): False once the guest can't answer any more."""
        self._alive = alive
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.settimeout(0.5)
        self._pending = b""
        self._seq = 0

    def close(self):
        self._socket.close()

    def _line(self, deadline, what):
        while b"\n" not in self._pending:
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                data = None
            if data == b"" or not self._alive():
                raise Failure(f"the guest ended during: {what}")
            if time.monotonic() > deadline:
                raise Failure(f"the guest took too long for: {what}")
            self._pending += data or b""
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def wait_ready(self, timeout):
        deadline = time.monotonic() + timeout
        while not self._line(deadline, "boot").startswith("@@ ready"):
            pass

    def lines(self, command, timeout=30):
        """Yields the lines that a command prints, as they come. The last thing that it yields is
        the exit status, an int."""
        self._seq += 1
        deadline = time.monotonic() + timeout
        self._socket.sendall(f"{self._seq} {command}\n".encode())
        while True:
            line = self._line(deadline, command)
            if line.startswith(f"@@ {self._seq} "):
                yield int(line.split()[2])
                return
            yield line

    def run(self, command, timeout=30):
        """(exit status, output) of a shell command, which is one line."""
        *output, status = self.lines(command, timeout)
        if output and output[-1] == "":
            output.pop()  # the newline that the agent puts before its answer
        return status, "\n".join(output).rstrip("\n")

    def sh(self, command, timeout=30):
        """The output of a command that has to succeed."""
        status, output = self.run(command, timeout)
        if status != 0:
            raise Failure(f"guest: {command}: exit status {status}: {output[:300]}")
        return output

    def start(self, command):
        """Starts a command in the background: a Job."""
        return Job(self, command)


class Job:
    """A command that runs in the guest's background."""

    _n_jobs = 0

    def __init__(self, agent, command):
        Job._n_jobs += 1
        self._agent, self._command = agent, command
        self._file = f"/tmp/job.{Job._n_jobs}"
        script = f"({command}) >{self._file}.out 2>&1; echo $? >{self._file}.status"
        agent.sh(f"setsid sh -c {shlex.quote(script)} >/dev/null 2>&1 &")

    def status(self):
        """The exit status, None while it runs."""
        text = self._agent.run(f"cat {self._file}.status")[1]
        return int(text) if text.isdigit() else None

    def output(self):
        return self._agent.run(f"cat {self._file}.out")[1]

    def wait(self, timeout):
        """Waits for its end, which has to be a success; its output."""
        deadline = time.monotonic() + timeout
        while (status := self.status()) is None:
            if time.monotonic() > deadline:
                raise Failure(f"the guest didn't end in {timeout} s: {self._command}")
            time.sleep(0.3)
        if status != 0:
            raise Failure(f"guest: {self._command}: exit status {status}: {self.output()[:300]}")
        return self.output()
