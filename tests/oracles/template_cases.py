"""Templates for template_oracle.py: single features, templates that merope refuses, and random programs."""

VARIABLES = {
    "messages": [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Hé ho"},
                 {"role": "assistant", "content": "", "n": 3}],
    "a": 7, "b": -2, "f": 2.5, "s": "Hello, World", "u": "né 日本 🙂 x", "e": "", "t": True, "none_": None,
    "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"k": "v", "x": 1, "m": [1, {"y": None}]}, "nest": [[1, 2], [3, 4]],
    "multi": "one\n  two\n\nthree\n",
}

EXPRESSIONS = r"""
a + b | a - b | a * b | a / b | a // b | a % b | b % a | a ** 2 | 2 ** -1 | -a ** 2 | 2 ** 3 ** 2 | f * a | f // 2 | -f % 2 | a / 2
1 + 2 * 3 - 4 | (1 + 2) * 3 | 1.0 | 1e3 | 1e16 | 1e-5 | 0.1 + 0.2 | 123456789012345680.0 | 1_000 | -0.0 | 10 // 3.0 | 3 * 'ab' | 'ab' * 3 | [1] * 2
s ~ a ~ f ~ none ~ t | s + '!' | s[0] | s[-1] | s[99] | s[1:4] | s[::-1] | s[-3:] | s[:2] ~ s[2:] | u[3:5] | u[::-1] | u | length | s[5:2] | s[8:2:-2] | l[1:] | l[::-1] | l[-1] | l[5] | l[:-1]
a > b | a >= 7 | a == 7.0 | 1 == true | '1' == 1 | a != b | 1 < a < 10 | 1 < a > 10 | 'a' < 'b' | [1, 2] < [1, 3] | none == none | missing == missing2 | d == {'x': 1, 'k': 'v', 'm': [1, {'y': none}]}
'k' in d | 'z' not in d | 'ell' in s | 3 in l | '日' in u | 1 in nest[0] | not a | not e | a and b | (e or s) | a and e | none or 0 or 'z' | t and not e | missing or 'd'
s if a else e | s if e else a | (s if e) | 'x' if a > 3 and b < 0 else 'y' | 'a' if e else 'b' if e else 'c'
a is defined | missing is defined | missing is undefined | none_ is none | none is none | a is number | f is number | t is number | s is string | d is mapping | l is iterable | s is iterable | a is iterable | l is sequence | d is sequence | a is even | a is odd | 14 is divisibleby a | t is boolean | a is integer | f is float | t is integer | t is true | t is sameas true | none_ is sameas none | a is eq 7 | a is equalto 7 | a is gt 3 | a is lessthan 3 | a is not none | a is in l | 3 is in l | missing is none | s is upper | 'abc' is lower | range is callable | a is ne(3)
s | upper | s | lower | 'hello world-foo (bar' | title | 'hELLO' | capitalize | '  x ' | trim | 'xxaxx' | trim('x') | s | length | l | length | d | length | none_ | default('q') | missing | default('q') | e | default('q', true) | e | d('q') | missing | default | s | replace('l', 'L') | s | replace('l', 'L', 1) | 'abc' | replace('', '-') | s | first | s | last | l | first | l | last | [] | first | s | list | s | reverse | l | reverse | list | l | sort | l | sort(reverse=true) | words | sort | words | sort(case_sensitive=true) | words | join | words | join('-') | l | join(', ') | words | unique | list | l | sum | l | min | l | max | words | max
'42' | int | '4.7' | int | 'x' | int | 'x' | int(5) | f | int | -2.7 | int | '2.5' | float | a | float | '  12 ' | int | 2.5 | round | 3.5 | round | 2.567 | round(2) | 2.1 | round(0, 'ceil') | 2.9 | round(method='floor') | 5 | round | -5 | abs | -2.5 | abs | a | string | l | string | d | string | true | string | none | string
d | tojson | l | tojson | s | tojson | u | tojson | '<>&"\'' | tojson | d | tojson(indent=2) | nest | tojson(indent=1) | [] | tojson(indent=4) | {} | tojson(indent=4) | d | tojson(separators=(',', ':')) | {'b': 1, 'a': 2} | tojson(sort_keys=true) | u | tojson(ensure_ascii=true) | f | tojson | 1.0 | tojson | none | tojson | true | tojson | (1, 2) | tojson | 'a\u2028b\x7f\x01' | tojson | missing | tojson
d.k | d['k'] | d.missing | d.m[1].y | d.m[0] | d.get('k') | d.get('z') | d.get('z', 5) | d.items() | list | d.keys() | list | d.values() | list | d | items | list | d | dictsort | d | list | messages[0].role | messages[1]['content'] | messages[-1].n | messages[0].n is defined | messages | map(attribute='role') | join('/') | messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | messages | rejectattr('role', 'in', ['system']) | list | length | messages | selectattr('n', 'defined') | list | messages | map(attribute='n', default=0) | list | l | map('string') | list | words | map('upper') | join | l | select('odd') | list | l | reject('gt', 1) | list | l | select | list | words | select('in', ['a', 'b']) | list | d | length
s.upper() | s.lower() | s.strip() | ' x '.strip() | 'xxaxx'.strip('x') | 'xxaxx'.lstrip('x') | 'xxaxx'.rstrip('x') | 'a,b,,c'.split(',') | 'a  b c '.split() | 'a b c'.split(' ', 1) | 'a b c'.rsplit(' ', 1) | ' a  b c '.split(none, 1) | ' a b c '.rsplit(none, 1) | 'a<b'.split('<')[-1] | s.startswith('Hell') | s.endswith('x') | s.startswith(('X', 'H')) | s.replace('o', '0') | s.replace('o', '0', 1) | s.find('o') | s.rfind('o') | s.find('zz') | u.find('x') | s.count('l') | s.count('') | ', '.join(words) | s.title() | "it's a-b".title() | s.capitalize() | multi.splitlines() | multi.splitlines(true) | 'abc'.removeprefix('a') | 'abc'.removesuffix('bc') | '12'.isdigit() | ''.isdigit() | ' \n'.isspace() | 'ABC'.isupper() | 'abc1'.islower() | 'abc'.index('b') | 'abc'.index('z') | l.index(1) | l.count(3) | l.index(9)
[1, 'a', none, true, 2.5, (1,), (), {}, {'k': 'it\'s'}, "q\"'"] | (1, 2) + (3,) | [1] + [2] | [[], [1]] | {'a': 1, 'a': 2} | {1: 'x', 'y': [2]} | 'tab\there' | ['tab\there\n\x00', '\u00a0\u00ad\u200b\ue000\U0001F642é日\u0085', '\u3000'] | '日本 x'|upper | 'a🙂b' | capitalize | "a" "b" | 'a\
b' | '\x41\u00e9\U0001F642' | '\q'
range(3) | list | range(5, 1, -2) | list | range(2, 5) | list | range(0) | list | dict(a=1, b=2) | dict({'x': 1}, y=2) | namespace(a=1).a
multi | indent | multi | indent(2) | multi | indent(2, true) | multi | indent(2, blank=true) | multi | indent('> ')
l | first + 1 | s | upper | lower | -l | first | (l | first) ** 2 | not missing is defined | a is defined and b is defined | s | length > 3 | (a, b) | 1, 2 | a, | 'x' ~ 1 + 2 | 1 ~ 2 * 3
missing.x | missing['x'] | missing | length | missing | upper | missing + 1 | 'a' + missing | missing ~ 'x' | none.x | none['x'] | 5.x | a.x | a[0] | s.nope | s['nope'] | l.nope | 'a' + 1 | 1 + 'a' | none + 1 | l + s | a < s | s in a | 1 / 0 | a % 0 | missing < 1 | 1 in missing | missing in l | d[l] | [][0] | ''[0] | none | length | a | list | a | join | s | join('-') | s | nofilter | s is notest | s.nomethod() | nofunc() | a() | l[missing] | {[]: 1} | a | first | missing | first | missing | join | missing | list | none | upper | none | trim | d | first | d | join(',') | raise_exception('no') | 9223372036854775807 | s | round | s | abs | none | int | missing | int | l | tojson(indent=0) | s[none] | s[1.5] | s['0'] | l['0'] | t + t | t * 3 | -t | +5 | - -5 | s | batch | s % a | range(1000000) | none_ is sequence | missing is sequence | missing is iterable | missing is string | nest | map('first') | list | nest | map('join', '-') | list | nest | sum(start=[]) | messages | sum(attribute='n') | messages | sort(attribute='role') | map(attribute='role') | list | words | min | ['a', 'A'] | max | ['A', 'b', 'a', 'B'] | max | [] | max | [] | sum | [1, 'a'] | sort | [] | last | d.m.1.y | nest[1][0] | nest | first | last
"""

STATEMENTS = [
    "{% if a %}x{% endif %}", "{% if e %}x{% elif t %}y{% else %}z{% endif %}", "{% if e %}{% endif %}\n\nx\n",
    "{% for x in l %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{% endfor %}", "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.length }}{% endfor %}", "{% for x in l if x > 9 %}{{ x }}{% else %}no{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for (k, v) in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in nest %}{{ a }}{{ b }}{% endfor %}{{ a }}", "{% for a, b in l %}{{ a }}{% endfor %}", "{% for c in u %}[{{ c }}]{% endfor %}", "{% for x in a %}{% endfor %}", "{% for x in missing %}y{% else %}n{% endfor %}", "{% for x in none %}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}e{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.depth }}{% if y == 1 %}{% break %}{% endif %}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{{ loop }}", "{{ loop.index }}", "{% for x in l %}{% endfor %}{{ x }}{{ loop is defined }}",
    "{% set x = 1 %}{% for y in l %}{{ x }}{% set x = y %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=1) %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}",
    "{% if t %}{% set x = 2 %}{% endif %}{{ x }}", "{% if e %}{% set x = 2 %}{% endif %}{{ x is defined }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set x, y = 1 %}", "{% set x, y = [1, 2, 3] %}",
    "{% set x %}\n a{{ a }} \n{% endset %}[{{ x }}]", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | trim | replace('a', 'b') %} aab {% endset %}[{{ x }}]", "{% set ns = namespace() %}{% set ns.y %}z{% endset %}{{ ns.y }}",
    "{% set x = 1 %}{% set y %}{% set x = 2 %}{{ x }}{% endset %}{{ x }}{{ y }}", "{% set d.k = 1 %}", "{% set ns = namespace(a=1) %}{{ ns.b is defined }}{{ ns['a'] }}{{ ns.missing }}",
    "{% macro m(x, y=2, z=x) %}{{ x }}{{ y }}{{ z }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(y=5, x=4) }}|{{ m() }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(q=2) }}",
    "{% set g = 5 %}{% macro m() %}{{ g }}{{ a }}{% set g = 9 %}{{ g }}{% endmacro %}{% set g = 6 %}{{ m() }}{{ g }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% macro m() %} x {% endmacro %}{{ m() | trim }}{{ m() | length }}{{ m().strip() }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% for x in l %}{{ f2(x) }}{% endfor %}{% macro f2(x) %}{% endmacro %}",
    "{% macro m() %}{% for x in l %}{{ loop.index }}{% endfor %}{% endmacro %}{% for y in l %}{{ m() }}{{ loop.index }}{% endfor %}",
    "{% with x = 1, y = a %}{{ x }}{{ y }}{% endwith %}{{ x }}", "{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x }}", "{% with x = 1, y = x %}{{ y }}{% endwith %}",
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | trim %} a {% endfilter %}", "{% generation %}x{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% raw %}{{ x }}{% if %}{% endraw %}", "{% raw %}\n a {% endraw %}\n b", "{%- raw -%}\n  {{ a }}  {%- endraw -%}  x", "  {% raw %}  x\n  {% endraw %}\ny", "{# a #}x{# b\n #}\ny", "  {# c #}\n  x", "x {#- c -#} y", "{# {{ a }} {% if %} #}z",
    "  {% if t %}\n  x\n  {% endif %}\n  y\n", "a\n  {%- if t %} b {%- endif %}\n c", "a\n  {%+ if t %} b {% endif +%}\n c", "{{ a }}\n{{ b }}\n", "{{- a -}}\n x \n{{- b -}} ", "x\n\n", "x\r\ny\rz\r\n", "\n", "", "{% if t %}\n{% endif %}\n", "{{ a }}  \n  {% if t %}  \n z{% endif %}", "\u00a0{% if t %}x{% endif %}", "\u2003{%- if t %}x{% endif -%}\u2003y",
    "\t {% for x in l %}\n\t {{ x }}\n\t {% endfor %}\n", "{% for x in l -%}\n  {{ x }}\n{%- endfor %}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': 1} }}", "{{ '}}' }}{{ '%}' }}{% if '%}' == '%}' %}y{% endif %}", "{ {a} } {{a}} %} }} #}", "{ % x", "{{ a", "{% if a %}", "{% endif %}", "{% if %}x{% endif %}", "{% for %}{% endfor %}", "{% foo %}", "{{ }}", "{{ a b }}", "{{ (a }}", "{{ a) }}", "{{ a | }}", "{{ 'abc }}", "{# x", "{% set %}", "{{ a..b }}", "{% else %}", "{{ a ! b }}", "{{ [1, 2 }}", "{% break %}", "{% if a %}{% else %}{% else %}{% endif %}", "{% macro %}{% endmacro %}", "{{ 1 2 }}", "{{ f( }}", "{{ s[1:2:3:4] }}",
    "{{ '%s' | safe }}", "{{ s | safe }}", "{% set g = l | map('string') %}{{ g | list }}{{ g | list }}", "{% if l | select('gt', 99) %}x{% endif %}{% if l | select('gt', 99) | list %}y{% endif %}", "{{ messages | map(attribute='role') is sequence }}",
    "{% set loop_messages = messages[1:] %}{% for m in loop_messages %}{% if loop.index0 == 0 %}<{{ m.role }}>{% endif %}{% endfor %}", "{% for m in messages %}{% set role = {'user': 'U'}.get(m.role, 'O') %}{{ role }}{% endfor %}",
    "{% set x = [] %}{% set x = x + [1] %}{% set x = x + [2] %}{{ x }}", "{% if messages[0]['role'] == 'system' %}{% set m2 = messages[1:] %}{% else %}{% set m2 = messages %}{% endif %}{{ m2 | length }}", "{{ messages }}", "{{ messages[0] | tojson }}", "{% if not (messages and 'x' in messages[0]) %}ok{% endif %}", "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}",
    # Markup: text that is joined to Markup is escaped.
    "{{ ('<a>' | safe) + '<b>' }}", "{{ '<b>' + ('<a>' | safe) }}", "{{ ('<a>' | safe) ~ '<b>' }}", "{{ '<a>' | e }}", "{{ '<a>\"\'&' | escape | escape }}", "{{ '<a>' | e | forceescape }}", "{{ (s | safe).upper() + '<' }}", "{{ ('<' | safe) * 2 + '<' }}",
    "{{ ('a,<' | safe).split(',') }}", "{{ ('a' | safe).replace('a', '<') }}", "{{ (', ' | safe).join(['<', '>' | safe]) }}", "{{ ('abc' | safe)[1:] + '<' }}{{ ('abc' | safe)[1] + '<' }}", "{{ ['a' | safe] }}", "{{ ('a' | safe) == 'a' }}{{ {'a': 1}['a' | safe] }}{{ 'a' is escaped }}{{ 'a' | safe is escaped }}",
    "{{ ('<' | safe) | tojson + '<' }}", "{{ (' <' | safe) | trim + '<' }}", "{{ ('<' | safe | string) + '<' }}", "{{ ('<%s>' | safe) % '<' }}", "{{ ('<%s %r>' | safe) % ('<', '<' | safe) }}", "{{ ('<{}>' | safe).format('<') }}", "{{ (1 | safe) + 'x' }}", "{{ ('a' | safe) + 1 }}", "{{ ('a' | safe | upper) + '<' }}{{ ('ab' | safe | reverse) + '<' }}{{ ('a' | safe | indent) + '<' }}{{ ('a' | safe | title) + '<' }}",
    # Formats.
    "{{ '%s-%s' | format(a, s) }}", "{{ '%(x)s %(y)d' | format(x=1, y=2.9) }}", "{{ '%s' | format(1, x=2) }}", "{{ '%5d|%-5d|%05d|%+d|% d|%x|%X|%o|%#x' % (42, 42, 42, 42, 42, 255, 255, 8, 255) }}", "{{ '%f %.2f %e %g %G %08.3f %+.0f' % (f, f, f, f, 1e-10, -f, f) }}", "{{ '%10s|%-10s|%.3s' % (u, u, u) }}", "{{ '%s' % none }}{{ '%s' % l }}{{ '%r' % 'x' }}{{ '%s' % missing }}", "{{ '%s' % (1, 2) }}", "{{ '%s %s' % 1 }}", "{{ '%d' % 'x' }}", "{{ '%y' % 1 }}", "{{ '%' % 1 }}", "{{ 'x' % [1] }}{{ 'x' % {} }}", "{{ 'x' % 1 }}", "{{ 'x' % missing }}", "{{ '100%%' % () }}", "{{ '%(k)s' % d }}", "{{ '%(z)s' % d }}",
    "{{ '{} {}'.format(a, s) }}", "{{ '{1} {0} {k}'.format(a, s, k=f) }}", "{{ '{{}} {0[k]} {0.k} {1[0]}'.format(d, l) }}", "{{ '{!r} {!s}'.format('x', 'y') }}", "{{ '{:>5}|{:<5}|{:^5}|{:*^7}|{:5}'.format('a', 'b', 'c', 'é', 'd') }}", "{{ '{:05d} {:+} {:,} {:x} {:#b} {:o}'.format(42, 3, 1234567, 255, 5, 8) }}", "{{ '{:.2f} {:e} {:.1%} {:,.1f} {:08.2f} {:.3}'.format(f, f, f, 12345.67, f, 'abcdef') }}", "{{ '{} {0}'.format(1) }}", "{{ '{}'.format() }}", "{{ '{x}'.format() }}", "{{ '{'.format(1) }}", "{{ '}'.format(1) }}", "{{ '{:d}'.format('x') }}", "{{ '{:5}'.format(none) }}", "{{ '{}'.format(none) }}{{ '{}'.format(l) }}{{ '{}'.format(t) }}",
    # Calls.
    "{% macro m(x) %}[{{ caller() }}{{ x }}]{% endmacro %}{% call m(1) %}a{{ a }}{% endcall %}", "{% macro m() %}{% for x in l %}{{ caller(x, y=2) }}{% endfor %}{% endmacro %}{% call(p, y=1, z=3) m() %}<{{ p }}{{ y }}{{ z }}>{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% call 1 %}{% endcall %}", "{% call nope() %}{% endcall %}", "{% for x in l %}{% macro_ %}{% endfor %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% for x in l %}{% call m() %}{{ x }}{{ loop.index }}{% set x = 9 %}{% endcall %}{{ x }}{% endfor %}", "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{% call m() %}x{% endcall %}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ caller() }}!{% endcall %}{% endmacro %}{% call n() %}x{% endcall %}",
    "{% macro m(x) %}{{ x }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, y=4) }}{{ m() }}", "{% macro m(x, y=2) %}{{ x }}{{ y }}{% endmacro %}{{ m(*[1]) }}{{ m(*l[:2]) }}{{ m(**{'y': 5}) }}{{ m(1, **{'y': 5}) }}{{ m(*[1], y=3) }}", "{{ range(*[1, 4]) | list }}{{ dict(**d) }}{{ dict(*[d], q=1) }}{{ s.replace(*['l', 'L']) }}{{ 'a' | replace(*['a', 'b']) }}", "{{ dict(a=1, **{'a': 2}) }}", "{{ range(*a) }}", "{{ dict(**l) }}", "{{ range(**{1: 2}) }}", "{{ range(*[1], 2) }}", "{{ range(**{}, 2) }}", "{{ range(*[1], *[2]) }}", "{{ 4 is divisibleby(*[2]) }}", "{{ range(*missing) }}",
    "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j() }}", "{% set j = joiner(sep=1) %}{{ j() }}{{ j() + 1 }}", "{{ joiner()(1) }}", "{{ joiner(1, 2) }}", "{{ joiner() is callable }}",
    # Unknown filters and tests, inside and outside branches.
    "{% if e %}{{ a | nofilter }}{% endif %}x", "{% if t %}{{ a | nofilter }}{% endif %}x", "{% if e %}{% for x in l %}{{ a | nofilter }}{% endfor %}{% endif %}", "{{ (a | nofilter) if e else 'x' }}", "{{ 'x' if t else a | nofilter(1) }}", "{{ (a | nofilter) if t }}", "{% if e %}{{ a is notest }}{% elif a is notest %}{% endif %}", "{% if e and a is notest %}{% endif %}x", "{% for x in [] %}{{ x | nofilter }}{% endfor %}", "{% macro m() %}{{ a | nofilter }}{% endmacro %}", "{% if e %}{% set x %}{{ a | nofilter }}{% endset %}{% endif %}", "{% if e %}{% set x = a | nofilter %}{% endif %}y", "{% if e %}{% else %}{{ 1 }}{% endif %}{{ a | nofilter }}", "{% if e %}{% filter nofilter %}{% endfilter %}{% endif %}", "{{ e and (a | nofilter) }}",
    # Numbers.
    "{{ '1e20' | float | int(7) | default('x') | string | length > 3 if e else 'n' }}", "{{ 'inf' | int }}{{ 'nan' | int(3) }}{{ '1_000' | int }}{{ '_1' | int }}{{ '1__0' | int }}{{ '- 1' | int }}{{ '+5' | int }}{{ '--5' | int }}", "{{ 'ff' | int(base=16) }}{{ '0xFF' | int(0, 16) }}{{ '0b11' | int(base=2) }}{{ '0o17' | int(base=8) }}{{ 'zz' | int(base=36) }}{{ '0x1f' | int(base=0) }}{{ '010' | int(base=0) }}{{ '9' | int(base=8) }}{{ '1' | int(base=1) }}{{ 12.7 | int(base=16) }}{{ '-0x1f' | int(base=16) }}{{ '0x' | int(4, base=16) }}", "{{ 1e400 | int }}", "{{ (1e300 * 1e300) | int }}", "{{ nest.1.0 }}{{ nest.0 }}{{ d.m.1.y }}{{ l.0 + 1.5 }}", "{{ l.9 }}", "{{ s.0 }}",
    "{% set ns = namespace(_x=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ strftime_now() }}", "{{ strftime_now(1) }}", "{{ strftime_now('') }}x",
    "{% set a = 8 %}{{ a }}", "{% for x in range(3) %}{{ x if x is odd else '-' }}{% endfor %}", "{% set ns = namespace(l=[]) %}{% for x in l %}{% set ns.l = ns.l + [x * 2] %}{% endfor %}{{ ns.l | join(' ') }}", "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '^' }}{{ loop.nextitem.role if not loop.last }}{% endfor %}",
]


def _expressions():
    # A bar separates two expressions, except before the name of a filter.
    from jinja2 import Environment
    filters = set(Environment().filters) | {"nofilter"}
    for line in EXPRESSIONS.strip().split("\n"):
        parts = []
        for part in line.split(" | "):
            word = part.split("(")[0].split(" ")[0].strip()
            if parts and word in filters and part not in ("d", "e"):
                parts[-1] += " | " + part
            else:
                parts.append(part)
        yield from parts


FEATURES = ["{{ " + e + " }}" for e in _expressions()] + [
    "{{ 'a\\\nb' }}", "{{ '\\x41\\u00e9\\U0001F642' }}", "{{ '\\q' }}"] + STATEMENTS

# Templates that merope refuses, each with a word of the error. The templates use features that merope does not support, change
# values, or exceed a limit. jinja2 may run some of these templates.
REFUSED = [
    ("{% include 'x' %}", "include"), ("{% import 'x' as y %}", "import"),
    ("{{ s | xmlattr }}", "xmlattr"), ("{{ s | pprint }}", "pprint"), ("{{ s is filter }}", "filter"),
    ("{{ l.append(1) }}", "append"), ("{{ d.update({}) }}", "update"), ("{{ '%*d' % (1, 2) }}", "support"), ("{{ '%c' % 'x' }}", "support"), ("{{ '{:{}}'.format(1, 2) }}", "support"), ("{{ '{:9999}'.format(1) }}", "support"),
    ("{{ 1e20 | int }}", "64 bits"), ("{{ '99999999999999999999' | int }}", "64 bits"), ("{% macro m() %}{% set ns.c = caller %}{% endmacro %}{% set ns = namespace() %}{% call m() %}x{% endcall %}{{ ns.c() }}", "after its call block"),
    ("{% for x in l recursive %}{% endfor %}", "recursive"), ("{{ cycler(1) }}", "cycler"), ("{{ s.encode() }}", "encode"), ("{% do l %}", "do"), ("{{ u | upper }}", "ASCII"),
    ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "steps"), ("{{ 'a' * 99999999 }}", "bytes"),
    ("{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "bytes"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "macros"), ("{{ " + "(" * 500 + ")" * 500 + " }}", "nested"), ("{{ " + "-" * 500 + "1 }}", "nested"), ("{% if a %}" * 200, "nested"),
    ("{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}", "nested"),
]

_ATOMS = ["a", "b", "f", "s", "u", "e", "t", "none_", "l", "words", "d", "nest", "multi", "missing", "messages", "1", "0", "-3", "2.5", "'x'", "' y\\n'", "true", "none", "[]", "[1, 'q']", "{'k': 2}", "messages[0].content", "d.m", "x", "loop.index"]
_FILTERS = ["trim", "upper", "lower", "length", "first", "last", "list", "join('-')", "tojson", "string", "int", "float", "default('D')", "default('E', true)", "replace('l', 'r')", "reverse | list", "sort", "sum", "unique | list", "map('string') | list", "select | list", "capitalize", "title", "abs", "round", "items | list", "min", "max", "indent(2)", "selectattr('role') | list", "map(attribute='role') | list"]
_TESTS = ["defined", "none", "string", "number", "mapping", "iterable", "sequence", "true", "boolean", "undefined", "odd", "in words", "eq 1"]
_METHODS = [".strip()", ".split()", ".split('o')", ".upper()", ".items()", ".get('k')", ".role", ".k", "[0]", "[-1]", "[1:]", "[::-1]", "['k']", ".startswith('H')", ".replace('l', '')", ".keys()"]
_BINARY = ["~", "~", "~", "==", "!=", "and", "and", "or", "or", "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]


def expression(rng, depth):
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(_ATOMS)
    kind = rng.randrange(8)
    inner = expression(rng, depth - 1)
    if kind <= 1:
        return f"{inner} {rng.choice(_BINARY)} {expression(rng, depth - 1)}"
    if kind == 2:
        return f"{inner} | {rng.choice(_FILTERS)}"
    if kind == 3:
        return f"({inner}){rng.choice(_METHODS)}"
    if kind == 4:
        return f"({inner}) is {rng.choice(['', 'not '])}{rng.choice(_TESTS)}"
    if kind == 5:
        return f"({inner} if {expression(rng, depth - 1)} else {expression(rng, depth - 1)})"
    if kind == 6:
        return rng.choice([f"not {inner}", f"-({inner})", f"[{inner}]", f"({inner})", f"{{'k': {inner}}}"])
    return f"{inner} | {rng.choice(_FILTERS)} | {rng.choice(_FILTERS)}"


def _body(rng, depth):
    parts = []
    for _ in range(rng.randrange(1, 4)):
        left, right = rng.choice(["", "", "-", "+"]), rng.choice(["", "", "-"])
        space = rng.choice(["", " ", "\n", "\n  ", " \n"])
        kind = rng.randrange(8) if depth > 0 else rng.randrange(3)
        e = expression(rng, rng.randrange(0, 3))
        if kind <= 1:
            parts.append(f"{{{{{left.replace('+', '')} {e} {right}}}}}")
        elif kind == 2:
            parts.append(rng.choice(["text", "é\n", " . ", "{# c #}", "{#- c -#}\n"]))
        elif kind <= 4:
            parts.append(f"{{%{left} if {e} {right}%}}{_body(rng, depth - 1)}{{%{right} else %}}{_body(rng, depth - 1)}{{% endif {left}%}}")
        elif kind <= 6:
            cut = rng.choice(["", "{% if loop.first %}{% continue %}{% endif %}", "{% if x %}{% break %}{% endif %}"])
            parts.append(f"{{%{left} for x in {e} %}}{cut}{_body(rng, depth - 1)}{{%{right} endfor {right}%}}")
        else:
            parts.append(rng.choice([f"{{%{left} set x = {e} {right}%}}", f"{{% set x %}}{_body(rng, depth - 1)}{{% endset %}}"]))
        parts.append(space)
    return "".join(parts)


def program(rng):
    """Returns a random template. Most templates run; some fail in jinja2 and in merope."""
    return _body(rng, 2)
