#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds manual pages and README.md against the tables of the code, both ways.

check_docs.py SOURCE-ROOT DUMP-TABLES VHOSTCTL [VHOSTD]

DUMP-TABLES is the program made from dump_tables.c. Without VHOSTD its --help is not looked at.
Prints TAP.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict


def output_of(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def load_tables(program):
    """Lists of rows by the table's name; a row is a tuple of strings."""
    tables = defaultdict(list)
    for line in output_of(program).splitlines():
        name, *row = line.split("\t")
        tables[name].append(tuple(row))
    return tables


class Page:
    """A manual page in scdoc: its text, and the lines of its sections."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = file.read().replace("\\_", "_")
        self.sections = defaultdict(list)
        section = ""
        for line in self.text.splitlines():
            heading = re.match(r"#+ (.*)", line)
            if heading:
                section = heading.group(1)
            self.sections[section].append(line)

    def options(self, section):
        """{"--name": metavar} of the entries "*--name* _METAVAR_" and {"NAME": ""} of "_NAME_"."""
        found = {}
        for line in self.sections[section]:
            option = re.fullmatch(r"\*(--[a-z-]+)\*(?: _([A-Z]+)_)?", line)
            if option:
                found[option.group(1)] = option.group(2) or ""
            word = re.fullmatch(r"_([A-Z]+)_", line)
            if word:
                found[word.group(1)] = ""
        return found

    def words(self, section):
        """{word: what stands in brackets} of the entries "*word*" and "*word* (...)"."""
        found = {}
        for line in self.sections[section]:
            word = re.fullmatch(r"\*([\w.]+)\*(?: \((.*)\))?", line)
            if word:
                found[word.group(1)] = word.group(2) or ""
        return found


def table_rows(text, heading):
    """Cells of the first table of a Markdown section."""
    section = text.split("\n## " + heading + "\n")[1].split("\n## ")[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("|")]
    return rows


class Check:
    """What is compared; each method is one test."""

    def __init__(self, root, dump, vhostctl, vhostd):
        self.root = root
        self.tables = load_tables(dump)
        self.vhostctl = vhostctl
        self.vhostd = vhostd
        self.ctl_page = Page(os.path.join(root, "tools/vhostctl/vhostctl.1.scd"))
        self.daemon_page = Page(os.path.join(root, "src/man/vhostd.8.scd"))
        self.conf_page = Page(os.path.join(root, "src/man/vhostd.json.5.scd"))
        with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
            self.readme = file.read()

    def column(self, table, index=0):
        return [row[index] for row in self.tables[table]]

    def commands(self):
        """{command: {option or positional: metavar}}"""
        result = {}
        for method, command in self.tables["method"]:
            params = {}
            for owner, name, metavar, flags in self.tables["param"]:
                if owner != method or int(flags) & 4:
                    continue
                if int(flags) & 2:
                    params[metavar] = ""
                else:
                    params["--" + name.replace("_", "-")] = metavar
            if command:
                result[command] = params
        return result

    def check_vhostctl_commands(self):
        """vhostctl(1) has every command and each of its parameters, and no other"""
        for command, params in self.commands().items():
            same(f"vhostctl {command}", self.ctl_page.options(command), params)
        headings = re.findall(r"^## (.*)$", self.ctl_page.text, re.M)
        same("commands", set(headings), set(self.commands()))

    def check_vhostctl_options(self):
        """vhostctl(1) has every option of vhostctl itself, and no other"""
        same("options", self.ctl_page.options("OPTIONS"),
             {"--" + name: metavar for name, metavar in self.tables["global"]})
        default = dict(self.tables["default"])["timeout"]
        has("The default is " + default, self.ctl_page.text)

    def check_vhostctl_help(self):
        """vhostctl --help and vhostctl COMMAND --help have what the tables have"""
        text = output_of(self.vhostctl, "--help")
        for command, params in self.commands().items():
            has(f"\n  {command} ", text)
            help_text = output_of(self.vhostctl, command, "--help")
            for option, metavar in params.items():
                has(f"  {option} {metavar}".rstrip(), help_text)

    def check_completion_values(self):
        """the values that completion offers are the ones that there are"""
        def offered(*words):
            return output_of(self.vhostctl, "--complete", *words, "").split()
        same("backends", offered("add", "x", "--backend"), self.column("backend"))
        has(", ".join(offered("log-level")), output_of(self.vhostctl, "log-level", "--help"))
        for size in offered("add", "x", "--block-size"):
            has(size, output_of(self.vhostctl, "add", "--help"))

    def check_errors(self):
        """vhostctl(1) has every error with its number, and no other"""
        same("errors", self.ctl_page.words("ERRORS"), dict(self.tables["error"]))

    def check_names(self):
        """vhostctl(1) has every state and every counter, and no other"""
        same("states", set(self.ctl_page.words("STATES")), set(self.column("state")))
        same("counters", list(self.ctl_page.words("COUNTERS")), self.column("counter"))

    def check_exit_status(self):
        """vhostctl(1) and README.md have every exit status of vhostctl, and no other"""
        same("vhostctl(1)", list(self.ctl_page.words("EXIT STATUS")), self.column("exit"))
        rows = table_rows(self.readme, "Exit status")
        same("README.md", [row[1] for row in rows if row[0] == "vhostctl"], self.column("exit"))
        same("vhostd", [row[1] for row in rows if row[0] == "vhostd"],
             list(self.daemon_page.words("EXIT STATUS")))

    def check_vhostd_options(self):
        """vhostd(8) has every option of vhostd, and no other"""
        flags = {"--" + name.replace("_", "-"): metavar
                 for name, metavar, _, where in self.tables["setting"] if where == "0"}
        flags.update({"--config": "FILE", "--check-config": "", "--version": "", "--help": ""})
        same("vhostd(8)", self.daemon_page.options("OPTIONS"), flags)
        if self.vhostd:
            listed = re.findall(r"^  (--[a-z-]+) ([A-Z]*)", output_of(self.vhostd, "--help"), re.M)
            same("vhostd --help", dict(listed), flags)

    def check_methods(self):
        """vhostd(8) has every method of the control interface, and no other"""
        same("methods", list(self.daemon_page.words("CONTROL INTERFACE")), self.column("method"))

    def check_settings(self):
        """vhostd.json(5) and README.md have every key with its default, and no other"""
        keys = {name: default for name, _, default, _ in self.tables["setting"]}
        file_only = {name for name, _, _, where in self.tables["setting"] if where == "1"}
        entries = self.conf_page.words("KEYS")
        same("vhostd.json(5)", list(entries), [*keys, "devices"])
        for key, default in keys.items():
            has(f"default {default}", entries[key])
        same("file only", {key for key, text in entries.items() if "file only" in text}, file_only)

        rows = {row[0]: row for row in table_rows(self.readme, "Configuration") if len(row) == 4}
        rows = {key: row for key, row in rows.items() if re.fullmatch(r"[a-z_]+", key)}
        same("README.md", [key for key in rows if key != "key"], [*keys, "devices"])
        for key, default in keys.items():
            same(key, rows[key][2], default)
        same("README.md, file only", {key for key in keys if "only in the file" in rows[key][3]},
             file_only)

    def check_disk_keys(self):
        """vhostd.json(5) and README.md have every key of a disk, and no other"""
        keys = [name for owner, name, _, _ in self.tables["param"] if owner == "device.add"]
        required = {name for owner, name, _, flags in self.tables["param"]
                    if owner == "device.add" and int(flags) & 1}
        entries = self.conf_page.words("KEYS OF A DISK")
        same("vhostd.json(5)", list(entries), keys)
        same("required", {key for key, text in entries.items() if "required" in text}, required)
        rows = [row for row in table_rows(self.readme, "Configuration") if len(row) == 3]
        same("README.md", [row[0] for row in rows if re.fullmatch(r"[a-z_]+", row[0])][1:], keys)

    def check_limits(self):
        """vhostd(8) and README.md have the limits that there are"""
        text = " ".join(self.daemon_page.sections["LIMITS"] +
                        self.daemon_page.sections["CONTROL INTERFACE"])
        for name, value in self.tables["limit"]:
            if not re.search(rf"\b{value}\b", text):
                raise AssertionError(f"vhostd(8) lacks the limit {name}: {value}")
        limits = self.readme.split("\n## Limits\n")[1].split("\n## ")[0]
        for name, value in self.tables["limit"]:
            if name != "deep" and not re.search(rf"\b{value}\b", limits):
                raise AssertionError(f"README.md lacks the limit {name}: {value}")

    def check_example(self):
        """the example in vhostd.json(5) is the one that is installed"""
        with open(os.path.join(self.root, "src/systemd/vhostd.json"), encoding="utf-8") as file:
            has(file.read(), self.conf_page.text)


def same(what, documented, wanted):
    if documented != wanted:
        raise AssertionError(f"{what}\ndocumented: {documented}\n  in tables: {wanted}")


def has(part, text):
    if part not in text:
        raise AssertionError(f"{part!r} is missing in\n{text}")


def main():
    check = Check(sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3]),
                  os.path.abspath(sys.argv[4]) if len(sys.argv) > 4 else None)
    tests = [getattr(check, name) for name in sorted(dir(check)) if name.startswith("check_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__doc__}")
        except (AssertionError, KeyError, IndexError) as error:
            failed += 1
            print(f"not ok {number} - {test.__doc__}")
            for line in f"{type(error).__name__}: {error}".splitlines():
                print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
