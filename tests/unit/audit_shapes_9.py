"""What is shared by way of helpers, properties, parameters and constructors."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

GIVEN: list[Shape] = [
    Shape(
        "a method of a parameter on an executor",
        ("FT101",),
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        class Account:
            def __init__(self, owner, balance=0):
                self.owner = owner
                self.balance = balance
            def deposit(self, amount):
                self.balance += amount
        def settle(account, amounts):
            with ThreadPoolExecutor(4) as pool:
                for a in amounts:
                    pool.submit(account.deposit, a)
            return account.balance
        def main():
            acc = Account("x")
            settle(acc, range(100))
        """,
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        class Account:
            def __init__(self, owner, balance=0):
                self.owner = owner
                self.balance = balance
                self.lock = threading.Lock()
            def deposit(self, amount):
                with self.lock:
                    self.balance += amount
        def settle(account, amounts):
            with ThreadPoolExecutor(4) as pool:
                for a in amounts:
                    pool.submit(account.deposit, a)
            return account.balance
        def main():
            acc = Account("x")
            settle(acc, range(100))
        """,
    ),
    Shape(
        "a partial that is mapped",
        ("FT102", "FT101", "FT107"),
        """
        import threading
        from functools import partial
        from concurrent.futures import ThreadPoolExecutor
        def scan(acc, guard, block):
            for word in block.split():
                if word in acc:
                    acc[word] += 1
                else:
                    acc[word] = 1
        def scan_all(blocks):
            acc = {}
            guard = threading.Lock()
            with ThreadPoolExecutor() as ex:
                list(ex.map(partial(scan, acc, guard), blocks))
            return acc
        """,
        """
        import threading
        from functools import partial
        from concurrent.futures import ThreadPoolExecutor
        def scan(acc, guard, block):
            with guard:
                for word in block.split():
                    if word in acc:
                        acc[word] += 1
                    else:
                        acc[word] = 1
        def scan_all(blocks):
            acc = {}
            guard = threading.Lock()
            with ThreadPoolExecutor() as ex:
                list(ex.map(partial(scan, acc, guard), blocks))
            return acc
        """,
    ),
    Shape(
        "a helper that gives an item",
        ("FT101",),
        """
        import threading
        _state = {"counts": {}, "started": None}
        def _counts():
            return _state["counts"]
        def bump(name, by=1):
            c = _counts()
            c[name] = c.get(name, 0) + by
        def top(n):
            return sorted(_counts().items(), key=lambda kv: -kv[1])[:n]
        """,
        """
        import threading
        _state = {"counts": {}, "started": None}
        _state_lock = threading.Lock()
        def _counts():
            return _state["counts"]
        def bump(name, by=1):
            with _state_lock:
                c = _counts()
                c[name] = c.get(name, 0) + by
        def top(n):
            return sorted(_counts().items(), key=lambda kv: -kv[1])[:n]
        """,
    ),
    Shape(
        "an attribute of a decorator's wrapper",
        ("FT101",),
        """
        import functools
        import threading
        def counted(fn):
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                wrapper.calls += 1
                return fn(*args, **kwargs)
            wrapper.calls = 0
            return wrapper
        """,
        """
        import functools
        import threading
        def counted(fn):
            lock = threading.Lock()
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                with lock:
                    wrapper.calls += 1
                return fn(*args, **kwargs)
            wrapper.calls = 0
            return wrapper
        """,
    ),
    Shape(
        "a class that is a dict itself",
        ("FT102",),
        """
        import threading
        import json
        class Loader(dict):
            def __init__(self, root):
                super().__init__()
                self.root = root
            def template(self, name):
                if name not in self:
                    with open(f"{self.root}/{name}") as fh:
                        self[name] = json.load(fh)
                return self[name]
        templates = Loader("/srv/templates")
        """,
        """
        import threading
        import json
        class Loader(dict):
            def __init__(self, root):
                super().__init__()
                self.root = root
                self.lock = threading.Lock()
            def template(self, name):
                with self.lock:
                    if name not in self:
                        with open(f"{self.root}/{name}") as fh:
                            self[name] = json.load(fh)
                return self[name]
        templates = Loader("/srv/templates")
        """,
    ),
    Shape(
        "a list made by repetition",
        ("FT101",),
        """
        import threading
        buckets = [0] * 16
        def observe(ms):
            i = min(int(ms).bit_length(), 15)
            buckets[i] += 1
        def snapshot():
            return list(buckets)
        """,
        """
        import threading
        buckets = [0] * 16
        locks = [threading.Lock() for _ in buckets]
        def observe(ms):
            i = min(int(ms).bit_length(), 15)
            with locks[i]:
                buckets[i] += 1
        def snapshot():
            return list(buckets)
        """,
    ),
    Shape(
        "the instance that a class hands out",
        ("FT101",),
        """
        import threading
        class Numbering:
            _one = None
            _one_lock = threading.Lock()
            def __init__(self):
                self.sequence = 0
            @classmethod
            def get(cls):
                with cls._one_lock:
                    if cls._one is None:
                        cls._one = cls()
                    return cls._one
            def issue(self, prefix):
                self.sequence += 1
                number = self.sequence
                number = self.sequence
                return f"{prefix}-{number:05d}"
        """,
        """
        import threading
        class Numbering:
            _one = None
            _one_lock = threading.Lock()
            def __init__(self):
                self.sequence = 0
                self._seq_lock = threading.Lock()
            @classmethod
            def get(cls):
                with cls._one_lock:
                    if cls._one is None:
                        cls._one = cls()
                    return cls._one
            def issue(self, prefix):
                with self._seq_lock:
                    self.sequence += 1
                    number = self.sequence
                return f"{prefix}-{number:05d}"
        """,
    ),
    Shape(
        "a count that is locked elsewhere",
        ("FT101",),
        """
        import threading
        class Stats:
            def __init__(self):
                self._lock = threading.Lock()
                self.served = 0
                self.failed = 0
            def ok(self):
                self.served += 1
            def bad(self):
                with self._lock:
                    self.failed += 1
            def snapshot(self):
                with self._lock:
                    return self.served, self.failed
        """,
        """
        import threading
        class Stats:
            def __init__(self):
                self._lock = threading.Lock()
                self.served = 0
                self.failed = 0
            def ok(self):
                with self._lock:
                    self.served += 1
            def bad(self):
                with self._lock:
                    self.failed += 1
            def snapshot(self):
                with self._lock:
                    return self.served, self.failed
        """,
    ),
    Shape(
        "a dataclass with its own lock",
        ("FT101", "FT102"),
        """
        import threading
        from dataclasses import dataclass, field
        @dataclass
        class Wallet:
            balance: int = 0
            mutex: threading.RLock = field(default_factory=threading.RLock, repr=False)
            def withdraw(self, n):
                if self.balance < n:
                    raise ValueError("insufficient")
                self.balance -= n
            def deposit(self, n):
                with self.mutex:
                    self.balance += n
        """,
        """
        import threading
        from dataclasses import dataclass, field
        @dataclass
        class Wallet:
            balance: int = 0
            mutex: threading.RLock = field(default_factory=threading.RLock, repr=False)
            def withdraw(self, n):
                with self.mutex:
                    if self.balance < n:
                        raise ValueError("insufficient")
                    self.balance -= n
            def deposit(self, n):
                with self.mutex:
                    self.balance += n
        """,
    ),
    Shape(
        "objects in a comprehension",
        ("FT101", "FT102", "FT103"),
        """
        import threading
        class Order:
            def __init__(self, oid):
                self.oid = oid
                self.state = "new"
            def pay(self, charge):
                if self.state == "new":
                    charge(self.oid)
                    self.state = "paid"
        ORDERS = {n: Order(n) for n in range(100)}
        def webhook(oid, charge):
            ORDERS[oid].pay(charge)
        """,
        """
        import threading
        class Order:
            def __init__(self, oid):
                self.oid = oid
                self.state = "new"
                self.lock = threading.Lock()
            def pay(self, charge):
                with self.lock:
                    if self.state == "new":
                        charge(self.oid)
                        self.state = "paid"
        ORDERS = {n: Order(n) for n in range(100)}
        def webhook(oid, charge):
            ORDERS[oid].pay(charge)
        """,
    ),
    Shape(
        "objects put into a dict on demand",
        ("FT101",),
        """
        import threading
        import time
        from dataclasses import dataclass, field
        @dataclass
        class Circuit:
            failures: int = 0
            opened_at: float | None = None
            def fail(self):
                self.failures += 1
                if self.failures > 3:
                    self.opened_at = time.time()
        circuits: dict[str, Circuit] = {}
        def on_error(service):
            circuits.setdefault(service, Circuit()).fail()
        """,
        """
        import threading
        import time
        from dataclasses import dataclass, field
        @dataclass
        class Circuit:
            failures: int = 0
            opened_at: float | None = None
            lock: threading.Lock = field(default_factory=threading.Lock)
            def fail(self):
                with self.lock:
                    self.failures += 1
                    if self.failures > 3:
                        self.opened_at = time.time()
        circuits: dict[str, Circuit] = {}
        def on_error(service):
            circuits.setdefault(service, Circuit()).fail()
        """,
    ),
    Shape(
        "an object of the enclosing call",
        ("FT101",),
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        class Progress:
            def __init__(self):
                self._done = 0
            @property
            def done(self):
                return self._done
            @done.setter
            def done(self, value):
                self._done = value
            def bump(self):
                self.done += 1
        def work(items, fn):
            p = Progress()
            def one(item):
                fn(item)
                p.bump()
            with ThreadPoolExecutor() as ex:
                list(ex.map(one, items))
            return p.done
        """,
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        class Progress:
            def __init__(self):
                self._done = 0
                self._lock = threading.Lock()
            @property
            def done(self):
                return self._done
            @done.setter
            def done(self, value):
                self._done = value
            def bump(self):
                with self._lock:
                    self.done += 1
        def work(items, fn):
            p = Progress()
            def one(item):
                fn(item)
                p.bump()
            with ThreadPoolExecutor() as ex:
                list(ex.map(one, items))
            return p.done
        """,
    ),
]
