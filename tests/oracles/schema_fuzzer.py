"""Makes random JSON schemas with all keywords, guesses at valid instances, and the guesses with one edit: case(seed)."""

import copy
import json
import random

NAMES = ["a", "b", "ab", "x1", "é"]
PATTERNS = ["^a", "b$", "1", "^[a-b]+$", "^x"]
STRINGS = ["", "a", "ab", "b1", "aab", "x1y", "é\n", "2024-02-28", "127.0.0.1", "aaaaaaaaaa"]
NUMBERS = [0, 1, -1, 2, 3, 5, 7, 10, 0.5, 1.0, -2.5, 100, 2**53 + 1, 2**63 - 1, -2**63, 2**64 - 1, 1e15]
TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"]
RARE = ["not", "if", "contains", "uniqueItems", "dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef"]


class Schemas:
    def __init__(self, rng, old):
        self.rng = rng
        self.old = old  # draft 7

    def maybe(self, chance):
        return self.rng.random() < chance

    def document(self):
        rng = self.rng
        schema = self.schema(3)
        if isinstance(schema, bool):
            schema = {"allOf": [schema]}
        where = "definitions" if self.old else "$defs"
        schema[where] = {"p": self.schema(1), "q": self.schema(1)}
        if self.maybe(0.1):
            schema[where]["p"] = {"$id": "http://x.example/p", where: {"q": self.of_type(rng.choice(TYPES[2:]), -1)}, "type": "array",
                                  "items": {"$ref": f"#/{where}/q"}}
        if self.old:
            schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        return dict(rng.sample(list(schema.items()), len(schema)))

    def schema(self, depth):
        rng = self.rng
        if self.maybe(0.05):
            return rng.choice([True, True, False])
        if depth > 0 and self.maybe(0.3):
            return self.combined(depth - 1)
        if self.maybe(0.08):
            return {"$ref": rng.choice(["#/definitions/" if self.old else "#/$defs/"]) + rng.choice("pq")}
        if self.maybe(0.12):
            return self.values()
        return self.typed(depth)

    def combined(self, depth):
        rng = self.rng
        kind = rng.choice(["allOf", "allOf", "anyOf", "oneOf"])
        like = self.typed(depth) if self.maybe(0.7) else None
        parts = []
        for _ in range(rng.randrange(1, 4)):
            part = self.schema(depth)
            # Parts of the same type: parts of different types exclude each other.
            if like is not None and isinstance(part, dict) and "type" in like:
                part = part | {"type": like["type"]} if self.maybe(0.6) else self.of_type(like["type"], depth)
            parts.append(part)
        schema = {kind: parts}
        if self.maybe(0.4) and like is not None:
            schema = like | schema
        if not self.old and self.maybe(0.25):
            schema[rng.choice(["unevaluatedProperties", "unevaluatedItems"])] = rng.choice([True, False, {"type": "string"}])
        return schema

    def values(self):
        rng = self.rng
        pool = [*STRINGS[:6], *NUMBERS, True, False, None, [], [1], {}, {"a": 1}, {"b": 2, "a": [1.0]}]
        schema = {}
        if self.maybe(0.8):
            schema["enum"] = rng.sample(pool, rng.randrange(1, 6))
        if not schema or self.maybe(0.2):
            schema["const"] = rng.choice(schema.get("enum", pool)) if self.maybe(0.8) else rng.choice(pool)
        if self.maybe(0.3):
            schema |= self.typed(0)
        return schema

    def typed(self, depth):
        rng = self.rng
        types = TYPES if depth >= 0 else TYPES[2:]
        kind = sorted(rng.sample(types, 2)) if self.maybe(0.1) else rng.choice(types)
        return self.of_type(kind, depth)

    def of_type(self, kind, depth):
        rng = self.rng
        kinds = kind if isinstance(kind, list) else [kind]
        schema = {} if self.maybe(0.15) else {"type": kind}
        if "object" in kinds:
            self.object(schema, depth)
        if "array" in kinds:
            self.array(schema, depth)
        if "string" in kinds:
            low = rng.randrange(0, 4)
            self.some(schema, 0.35, {"minLength": low, "maxLength": low + rng.randrange(0, 4), "pattern": rng.choice(PATTERNS)})
            self.some(schema, 0.1, {"format": rng.choice(["date", "ipv4", "email", "ipv6", "uuid"])})
        if "number" in kinds or "integer" in kinds:
            low, high = rng.choice(NUMBERS), rng.choice(NUMBERS)
            self.some(schema, 0.3, {"minimum": min(low, high), "maximum": max(low, high), "exclusiveMinimum": min(low, high),
                                    "exclusiveMaximum": max(low, high)})
            self.some(schema, 0.1, {"multipleOf": rng.choice([1, 2, 3, 7, 0.5])})
        if self.maybe(0.02):
            schema |= {rng.choice(RARE): rng.choice([True, {}, {"a": ["b"]}, {"a": {"type": "null"}}])}
        return schema

    def some(self, schema, chance, keywords):
        for keyword, value in keywords.items():
            if self.maybe(chance):
                schema[keyword] = value() if callable(value) else value

    def object(self, schema, depth):
        rng = self.rng
        low = rng.randrange(0, 3)
        below = depth - 1
        names = {"enum": rng.sample([*NAMES, 1], 3)} if self.maybe(0.3) else rng.choice(
            [{"pattern": rng.choice(PATTERNS)}, {"type": rng.choice(["string", "integer"])}, {"maxLength": 2}, {"const": rng.choice(["a", 3])},
             {"minimum": 3}, True, False])
        if depth >= 0 and self.maybe(0.7):
            schema["properties"] = {name: self.schema(below) for name in rng.sample(NAMES, rng.randrange(1, 4))}
        self.some(schema, 0.3, {"required": rng.sample(NAMES, rng.randrange(1, 3)), "additionalProperties": lambda: self.schema(below)})
        self.some(schema, 0.2, {"patternProperties": lambda: {p: self.schema(below) for p in rng.sample(PATTERNS, rng.randrange(1, 3))}})
        self.some(schema, 0.08, {"propertyNames": names, "minProperties": low, "maxProperties": low + rng.randrange(0, 3)})
        if not self.old:
            self.some(schema, 0.08, {"unevaluatedProperties": lambda: self.schema(-1)})

    def array(self, schema, depth):
        rng = self.rng
        low = rng.randrange(0, 3)
        below = depth - 1
        first = [self.schema(below) for _ in range(rng.randrange(1, 3))] if depth >= 0 else [True]
        self.some(schema, 0.25, {"minItems": low, "maxItems": low + rng.randrange(0, 3)})
        if self.old:
            schema["items"] = first if self.maybe(0.4) else self.schema(below)
            self.some(schema, 0.3, {"additionalItems": lambda: self.schema(below)})
        else:
            self.some(schema, 0.4, {"prefixItems": first, "items": lambda: self.schema(below)})
            self.some(schema, 0.08, {"unevaluatedItems": lambda: self.schema(-1)})


class Instances:
    """Guesses valid instances of a schema."""

    def __init__(self, rng, document):
        self.rng = rng
        self.document = document

    def guess(self, schema, depth=0):
        rng = self.rng
        if not isinstance(schema, dict) or depth > 6:
            return self.any()
        schema = self.flat(schema, depth)
        if "const" in schema:
            return copy.deepcopy(schema["const"])
        if "enum" in schema:
            return copy.deepcopy(rng.choice(schema["enum"]))
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = rng.choice(kind)
        if kind is None:
            kind = ("object" if {"properties", "required", "patternProperties", "additionalProperties"} & schema.keys() else
                    "array" if {"items", "prefixItems"} & schema.keys() else "string" if {"pattern", "maxLength", "format"} & schema.keys()
                    else rng.choice(TYPES))
        if kind == "object":
            return self.object(schema, depth)
        if kind == "array":
            return self.array(schema, depth)
        if kind == "string":
            fitting = [s for s in STRINGS if schema.get("minLength", 0) <= len(s) <= schema.get("maxLength", 99)]
            return rng.choice(fitting or STRINGS)
        if kind in ("number", "integer"):
            low = max(schema.get("minimum", -1e30), schema.get("exclusiveMinimum", -1e30))
            high = min(schema.get("maximum", 1e30), schema.get("exclusiveMaximum", 1e30))
            fitting = [n for n in NUMBERS if low <= n <= high and (kind == "number" or isinstance(n, int))]
            return rng.choice(fitting or NUMBERS)
        return {"boolean": rng.choice([True, False]), "null": None}[kind]

    def flat(self, schema, depth):
        """Returns the schema, merged with its $ref, all parts of allOf, and one part each of anyOf and oneOf."""
        out = dict(schema)
        parts = list(schema.get("allOf", []))
        parts += [self.rng.choice(schema[k]) for k in ("anyOf", "oneOf") if k in schema]
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            parts.append(self.document.get("$defs", self.document.get("definitions"))[name])
        for part in parts:
            if isinstance(part, dict) and depth < 6:
                for keyword, value in self.flat(part, depth + 1).items():
                    if keyword == "properties" and keyword in out:
                        out[keyword] = value | out[keyword]
                    elif keyword == "required" and keyword in out:
                        out[keyword] = out[keyword] + value
                    else:
                        out.setdefault(keyword, value)
        return out

    def object(self, schema, depth):
        rng = self.rng
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        out = {name: self.guess(sub, depth + 1) for name, sub in properties.items() if name in required or rng.random() < 0.6}
        for name in required:
            out.setdefault(name, self.guess(schema.get("additionalProperties", True), depth + 1))
        if rng.random() < 0.4:
            for pattern, sub in schema.get("patternProperties", {}).items():
                out.setdefault({"^a": "ac", "b$": "xb", "1": "11", "^[a-b]+$": "ba", "^x": "xx"}[pattern], self.guess(sub, depth + 1))
        extra = schema.get("additionalProperties", schema.get("unevaluatedProperties", not properties))
        if extra is not False and rng.random() < 0.4:
            out.setdefault(rng.choice(["zz", *NAMES]), self.guess(extra, depth + 1))
        return out

    def array(self, schema, depth):
        rng = self.rng
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        low = schema.get("minItems", 0)
        count = rng.randrange(low, max(min(schema.get("maxItems", low + 3), low + 3), low) + 1)
        return [self.guess(first[i] if i < len(first) else rest, depth + 1) for i in range(count)]

    def any(self):
        return copy.deepcopy(self.rng.choice([*STRINGS, *NUMBERS, True, False, None, [], [1, "a"], {}, {"a": 1}, {"b": "ab", "x1": 2}]))

    def edit(self, value):
        """Returns a copy of the value with a change in one place."""
        rng = self.rng
        value = copy.deepcopy(value)
        if isinstance(value, dict) and value and rng.random() < 0.9:
            name = rng.choice(list(value))
            kind = rng.randrange(4)
            if kind == 0:
                del value[name]
            elif kind == 1:
                value[rng.choice([*NAMES, "zz", "ac", "xx"])] = self.any()
            else:
                value[name] = self.edit(value[name])
            return value
        if isinstance(value, list) and value and rng.random() < 0.9:
            at = rng.randrange(len(value))
            kind = rng.randrange(4)
            if kind == 0:
                del value[at]
            elif kind == 1:
                value.insert(at, self.any())
            else:
                value[at] = self.edit(value[at])
            return value
        if isinstance(value, str) and rng.random() < 0.7:
            at = rng.randrange(len(value) + 1)
            return value[:at] + rng.choice(["", "a", "1", "b", "x"]) + value[at + rng.randrange(2):]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.7:
            return value + rng.choice([1, -1, 0.5, 2])
        return self.any()


def case(seed):
    rng = random.Random(seed)
    schema = Schemas(rng, old=rng.random() < 0.25).document()
    instances = Instances(rng, schema)
    good = [instances.guess(schema) for _ in range(5)]
    return schema, good + [instances.edit(value) for value in good]


if __name__ == "__main__":
    print(json.dumps(case(0)))
