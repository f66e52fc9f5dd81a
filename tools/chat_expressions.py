"""Small templates that make_chat_goldens.py renders with the reference: one feature each.

`messages` is a user's "Hello!" and the assistant's answer; the variables are below. A line of BLOCKS is a whole
template; one of VALUES is an expression that is printed.
"""

EXPRESSION_VARIABLES = {
    "n": None,
    "t": True,
    "i": 7,
    "f": 2.5,
    "s": "Hello, World",
    "u": "h\u00e9llo \u4f60\u597d \U0001f600 \u00df",
    "w": "  \t padded \u00a0\n ",
    "l": [3, 1, 2],
    "names": ["bob", "Alice", "carol", "alice"],
    "d": {"a": 1, "b": [1, 2, {"c": None}], "items": "shadowed", "k y": "v"},
    "users": [
        {"name": "x", "age": 30, "tags": ["p"], "address": {"city": "Rome"}},
        {"name": "Y", "age": 20, "tags": [], "address": {"city": "oslo"}},
        {"name": "z", "age": 30, "address": {"city": "rome"}},
    ],
    "html": "<a href=\"x\">'&'</a>",
    "multi": "one\n\n  two\r\nthree\n",
}

VALUES = r"""
1 + 2 * 3 - 4
7 / 2
8 / 2
7 // 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7.5 % -2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
2 ** 0.5
0.1 + 0.2
1e16
1e15 + 0.5
1.0
100000000000000000.0
1.5e-5
0.0001
1e-7
1_000 + 0x1F + 0b101 + 0o17
12.5e3
1 / 3
1e300 * 1e10
-(3)
+5
--5
- -3
not true
not not 0
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'a' < 'b'
'a' < 'B'
[1, 2] < [1, 3]
[1] == [1.0]
(1, 2) == [1, 2]
none == none
undefined_name == undefined_name
'a' in 'abc'
'' in ''
1 in [1, 2]
1.0 in [1, 2]
'a' in d
'z' not in d
not 'a' in d
3 in (1, 2)
'x' in undefined_name
1 < 'a'
1 + 'a'
'a' + 1
[1] + (2,)
1 / 0
1 // 0
1 % 0
1.0 / 0
'a' * 3
3 * 'ab'
[1, 2] * 2
'a' * -1
(1, 2) + (3,)
[1] + [2] + [[]]
true + true
1 ~ 'a' ~ none ~ 1.5
1 + 1 ~ 2
1 ~ 2 + 3
'a' ~ [1, 'b'] ~ {'k': 'v'}
n
t
f
[n, t, f, i, s]
{'a': 1, 2: 'b', none: true, 1.5: (), (1, 2): []}
()
(1,)
(1, 2)
1, 2
'single' "double"
'it\'s'
["it's", 'say "hi"', 'both \' and "', 'tab\t', 'nl\n', '\\', '\x00\x7f\u00ad\u2028', '\u00e9\U0001f600']
'\u4f60\u597d'
'\101\q'
"a\"b"
u
[u]
s.upper()
u.upper()
s | lower
'\u00c9\u00c0\u0130' | lower | length
u | title
u.title()
"they're bill's" | title
"they're bill's".title()
'hello-world (foo) [bar] {x} <y>' | title
s.swapcase()
'hELLO wORLD'.capitalize()
'hELLO wORLD' | capitalize
'' | capitalize
w.strip() ~ '|'
w | trim ~ '|'
w.lstrip() ~ '|'
'|' ~ w.rstrip()
'xxhixx'.strip('x')
'xyhiyx'.lstrip('yx')
'hi\n\n'.rstrip('\n') ~ '|'
'--a--' | trim('-')
'abc'.strip('')
s.split()
s.split(', ')
s.split('o', 1)
s.rsplit('o', 1)
s.split('o', maxsplit=1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
' a  b c '.rsplit(maxsplit=2)
' a  b c '.split(' ')
''.split()
''.split(',')
'a,b,,c'.split(',')
'abc'.split('')
'a<sep>b'.partition('<sep>')
'a.b.c'.rpartition('.')
'abc'.partition('x')
'abc'.rpartition('x')
multi.splitlines()
multi.splitlines(true)
'a\x0bb\x0cc\x1cd\u2028e'.splitlines()
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('llo', 2)
s.endswith('ld')
s.endswith(('x',))
s.endswith('Hello', 0, 5)
s.startswith(['H'])
s.startswith(1)
'prefix-body'.removeprefix('prefix-')
'body.txt'.removesuffix('.txt')
'body'.removesuffix('')
s.replace('o', '0')
s.replace('o', '0', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
u.replace('', '.')
'aaa'.replace('aa', 'b')
s | replace('l', 'L')
s | replace('l', 'L', 2)
123 | replace(2, 'x')
s.find('o')
s.find('zz')
u.find('\u597d')
s.rfind('o')
s.find('o', 5)
s.index('W')
s.index('zz')
s.count('l')
'aaaa'.count('aa')
'abc'.count('')
'-'.join(['a', 'b'])
'-'.join('abc')
'-'.join([1, 2])
'-'.join({'a': 1, 'b': 2})
'abc'.center(8) ~ '|'
'abc'.center(7, '*')
'ab'.center(5, '*')
'abc' | center(9) ~ '|'
'5'.zfill(3)
'-5'.zfill(4)
'a'.ljust(3, '.') ~ 'a'.rjust(3)
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'abc'.isalpha()
'ab1'.isalnum()
' \t'.isspace()
'Abc'.isupper()
'ABC1'.isupper()
'abc!'.islower()
'\u00b2'.isdigit() ~ '\u00b2'.isdecimal()
'%s and %r' % ('a', 'b')
'%d%%' % 5
'%05.2f|%-5s|%5s|%+d' % (3.14159, 'a', 'b', 3)
'%x %X %o %#x %e %g %G' % (255, 255, 8, 255, 12345.678, 0.00001, 1e20)
'%s' % [1, 2]
'%s' % undefined_name
'%(a)s-%(b)s' % d
'%c%c' % ('a', 98)
'%*d' % (5, 3)
'%.2s' % 'abcdef'
'%s %s' % 'a'
'%d' % 'a'
'%s' % ('a', 'b')
'%d' % 3.99
'%i %u' % (1, 2)
'%5%|'|format(1)
'%s, %s!' | format('hi', 'you')
'%(a)s' | format(a=1)
'{} {}'.format(1, 'a')
'{1} {0}'.format('a', 'b')
'{x} {y!r}'.format(x=1, y='q')
'{0[a]} {0.a}'.format(d)
'{0[1]}'.format([1, 2])
'{:>6}|{:<6}|{:^6}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:d} {:5d} {:05d} {:+d} {:,}'.format(1, 2, 3, 4, 1234567)
'{:.2f} {:8.3f} {:e} {:g} {:%}'.format(3.14159, 2.5, 12345.678, 0.5, 0.25)
'{:x} {:#x} {:b} {:o}'.format(255, 255, 5, 8)
'{{}} {}'.format('x')
'{:{}}|'.format('a', 5)
'{!s:>5}'.format(none)
'{} {} {}'.format(true, none, 1.0)
'{:.3}'.format('abcdef')
'{:.3}'.format(1234.5678)
'{:05}'.format(-1.5)
'{}'.format()
'{'.format(1)
'{a}'.format(b=1)
s[0]
s[-1]
s[100]
s[1:4]
s[::-1]
s[::2]
s[-5:]
s[:-5]
s[5:2] ~ '|'
s[10:100]
u[1]
u[6:8]
u[::-1]
l[0]
l[-1]
l[5]
l[1:]
l[::-1]
l[::-2]
l[5:]
(1, 2, 3)[1:]
l[::0]
d['a']
d.a
d['b'][2]['c']
d.b[2].c
d.missing
d['missing']
d.missing.deeper
d['k y']
d.get('a')
d.get('zz')
d.get('zz', 'default')
d['items']
d.items() | list
d.keys() | list
d.values() | list
d.items()
d.keys()
d.values()
d | items | list
undefined_name | items | list
d.pop('a')
d.update({'a': 2})
l.append(4)
l.index(2)
l.index(9)
l.count(1)
l.copy()
d.copy() == d
none.foo
(5).foo
5['x']
none['x']
n[1:]
d[1:]
d[[1]]
undefined_name
undefined_name.attribute
undefined_name['x']
undefined_name()
undefined_name + 1
'a' + undefined_name
undefined_name ~ 'x'
[undefined_name]
undefined_name | length
undefined_name | default('x')
undefined_name | d('x') | upper
none | default('x')
none | default('x', true)
'' | default('x', true)
0 | default('x', boolean=true)
d.missing | default([]) | length
undefined_name is defined
n is defined
n is none
undefined_name is none
undefined_name is undefined
t is true
1 is true
t is boolean
i is number
t is number
t is integer
i is integer
f is float
f is number
s is string
l is sequence
s is sequence
d is sequence
d.items() is sequence
(l | map('string')) is sequence
l is iterable
d is iterable
i is iterable
undefined_name is iterable
undefined_name is sequence
d is mapping
l is mapping
4 is even
3 is odd
9 is divisibleby 3
9 is divisibleby(2)
1 is eq 1
1 is eq(2)
1 is ne 2
2 is gt 1
2 is ge 2
1 is lt 2
1 is le 0
1 is equalto 1
'a' is in ['a']
'a' is in('abc')
'abc' is lower
'ABC' is upper
'Abc' is not upper
none is sameas none
true is sameas true
d is callable
range is callable
'upper' is filter
'nope' is filter
'odd' is test
'x' is escaped
('x' | safe) is escaped
1 is not none and 2 is defined
1 is defined or undefined_name.x
n is not defined
5 is nosuchtest
5 | nosuchfilter
(5 | nosuchfilter) if false else 'ok'
5 if false
5 if false else 6
(5 if false) is defined
1 if 0 else 2 if 0 else 3
'a' or 'b'
'' or 'b'
'' and 'b'
'a' and 'b'
none or undefined_name or 0
l and d
l | length
u | length
d | count
5 | length
(l | map('string')) | length
l | first
[] | first
l | last
s | first
s | last
d | first
d | last
l | sort
l | sort(reverse=true)
names | sort
names | sort(case_sensitive=true)
users | sort(attribute='age') | map(attribute='name') | join
users | sort(attribute='age,name') | map(attribute='name') | join
users | sort(attribute='name', reverse=true) | map(attribute='name') | join
['b', 1] | sort
names | unique | list
names | unique(case_sensitive=true) | list
l | min
l | max
names | min
names | max(case_sensitive=true)
users | max(attribute='age')
[] | min
l | sum
users | sum(attribute='age')
[[1], [2]] | sum(start=[])
[1.5, 2] | sum
['a'] | sum
l | reverse | list
s | reverse
l | reverse | first
d | reverse | list
l | join
l | join(', ')
s | join('.')
users | join(', ', attribute='name')
[1, none, 'a', 2.0] | join('|')
5 | join
s | list
d | list
5 | list
(1, 2) | list
l | map('string') | list
l | map('multiply') | list
names | map('upper') | list
names | map('replace', 'a', 'A') | list
users | map(attribute='address.city') | list
users | map(attribute='tags') | list
users | map(attribute='tags', default='none') | list
users | map(attribute='tags.0') | list
users | map | list
[] | map | list
l | select('odd') | list
l | select('gt', 1) | list
l | select | list
[0, 1, '', 'a', none] | select | list
[0, 1, '', 'a', none] | reject | list
l | reject('odd') | list
users | selectattr('tags') | map(attribute='name') | list
users | selectattr('age', 'equalto', 30) | map(attribute='name') | list
users | selectattr('tags', 'defined') | list | length
users | rejectattr('age', 'eq', 30) | map(attribute='name') | list
users | selectattr('address.city', 'in', ['Rome']) | list | length
users | groupby('age') | list | length
users | groupby('address.city') | map('first') | list
(users | groupby('age'))[0].grouper
(users | groupby('age') | last).list | map(attribute='name') | list
users | groupby('missing', default='-') | map(attribute='grouper') | list
l | batch(2) | list
l | batch(2, 'x') | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, 0) | list
d | dictsort
{'B': 2, 'a': 3, 'c': 1} | dictsort
{'B': 2, 'a': 3, 'c': 1} | dictsort(true)
{'B': 2, 'a': 3, 'c': 1} | dictsort(by='value')
{'B': 2, 'a': 3, 'c': 1} | dictsort(false, 'value', true)
[1] | dictsort
5 | string + 'x'
none | string
'42' | int
'42.9' | int
'x' | int
'x' | int(5)
'ff' | int(0, 16)
'0x1f' | int(0, 16)
'0b11' | int(base=2)
' 12 ' | int
'1_000' | int
'-7' | int
3.99 | int
-3.99 | int
true | int
none | int
[] | int
'1.5' | float
'x' | float
'x' | float(1.5)
'1e3' | float
'inf' | float
3 | float
' -2.5 ' | float
-5 | abs
-2.5 | abs
'a' | abs
42.55 | round
42.55 | round(1)
2.5 | round
3.5 | round
0.125 | round(2)
2.675 | round(2)
1234.5 | round(-2)
7 | round
15 | round(-1)
25 | round(-1)
42.55 | round(1, 'floor')
42.51 | round(1, 'ceil')
1 | round(method='x')
d | tojson
u | tojson
d | tojson(indent=2)
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}, [1]] | tojson(indent=1)
d | tojson(indent='\t')
d | tojson(separators=(',', ':'))
d | tojson(indent=0)
{'b': 1, 'a': [2.0, 1e20, 1e-7, true, none]} | tojson(sort_keys=true)
u | tojson(ensure_ascii=true)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
(1, (2, 3)) | tojson
'\x00\x1f\x7f"\\/\n\r\t\x08\x0c' | tojson
undefined_name | tojson
{(1, 2): 3} | tojson
l | map('string') | tojson
html | tojson
html | e
html | escape | e
html | forceescape
html | safe
(html | safe) + '<b>'
'<b>' + (html | safe)
('<b>' | e) ~ '<i>'
('<%s>' | safe) % '<b>'
[html | safe]
html | e | upper
multi | indent
multi | indent(2, true)
multi | indent(2, true, true)
multi | indent('> ', blank=true)
multi | indent(width=1, first=true)
5 | indent
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, false, '...', 0)
'foo bar, baz_1 \u00e9t\u00e9' | wordcount
d | attr('a')
d | attr('get') is defined
messages | length
messages[0].role
messages[-1]['content']
messages | map(attribute='role') | join(',')
range(5) | list
range(2, 5) | list
range(5, 0, -2) | list
range(3)
range(1, 9, 2)
range(3)[1]
range(10)[2:5]
range(4)[3:0:-1][::2]
'ab' % [1]
[1] | truncate(5)
[{(1, [2]): 3}]
range(10)[::-3] | list
range(0, 5, 0)
range(1000000000)
range('a')
range(3) | last
3 in range(5)
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1), ('b', 2)])
namespace(a=1).a
namespace({'b': 2}).b
namespace(a=1)
namespace(a=1).zz
namespace(a=1)['a']
raise_exception('no')
strftime_now('%Y') | length
[1, 2][0]
[[1, 2], [3]][0][1]
{'a': {'b': 1}}.a.b
{'a': 1,}
[1, 2,]
[x for x in l]
lambda
'abc'[1]
'a' 'b'
('a')
("a" + "b") * 2
'a' if l else 'b'
l is defined and l | length > 2
not l is defined
i > 5 and i < 10 or false
1 if i is odd else 2
s | upper | lower | title
-5 | abs
-l[0]
- 5 ** 2
(i - 2) * 3
s.nosuch
s.nosuch()
''.__class__
d.__class__ is defined
().__class__.__bases__
'%s' | format(undefined_name) ~ '|'
9223372036854775807 + 0
9223372036854775807 - 1
1 in 5
'a' in none
1 in 'a'
{'a': 1} == {'a': 1.0}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
[1, [2, (3,)]] == [1, [2, (3,)]]
l.0
users.0.name
s | replace('o')
s | upper(1)
s | trim(chars='Hd')
"a" ~ 1.0 ~ 1e5 ~ 123456789.123
1.1 * 3
100 * 1.1
5 // 2.0
7 % 2.5
1e308 * 10 - 1e308 * 10
true and 1
true == 'true'
true | string
[true, false, none] | join(' ')
none | lower
[1, 2] | string | length
('a', 'b') | join
d.b | length
d['b'] | tojson | length
loop is defined
caller is defined
"{{ nested }}"
'{% raw %}'
"""

BLOCKS = [
    "{{ 'a\\\nb' }}",
    "plain text",
    "",
    "\n",
    "a\n",
    "a\n\n",
    "a\r\nb\rc\n",
    "{{ 1 }}\n{{ 2 }}\n",
    "  {% if true %}\n  yes\n  {% endif %}\n  end",
    "x {% if true %} y {% endif %} z",
    "  {%- if true -%}  y  {%- endif -%}  z",
    "  {%+ if true +%}\n  y\n  {%+ endif %}\nz",
    "a\n\n  {%- if true %}\n\nb{% endif %}",
    "a {{- 1 -}} b {{ 2 }} c",
    "a  {{-  1  -}}  b",
    "a {# comment #} b",
    "a\n  {# comment #}\nb",
    "a {#- comment -#} b",
    "a {#+ comment +#}\nb",
    "{# multi\nline {{ x }} {% if %} #}done",
    "{# unclosed",
    "{{ unclosed",
    "{% if true",
    "{{ 'unclosed }}",
    "{% raw %}{{ x }} {% if %}{% endraw %}!",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a {%- raw -%} {{ x }} {%- endraw -%} b",
    "{% raw %} never closed",
    "{{ '{{' }} {{ '}}' }} {{ '%}' }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ {} }}{{ {'a': {}} }}",
    "{ { % } } {x} {",
    "{% if false %}a{% elif true %}b{% else %}c{% endif %}",
    "{% if n %}a{% elif false %}b{% else %}c{% endif %}",
    "{% if %}{% endif %}",
    "{% if true %}",
    "{% endif %}",
    "{% if true %}{% endfor %}",
    "{% nosuchtag %}",
    "{% for x in l %}{{ x }},{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}empty{% endfor %}",
    "{% for x in l %}{{ x }}{% else %}empty{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for x in undefined_name %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for a, b in [[1, 2], (3, 4), 'xy'] %}{{ a }}{{ b }} {% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{% endfor %}",
    "{% for (a, (b, c)) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for c in u %}[{{ c }}]{% endfor %}",
    "{% for x in l %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.first }} {{ loop.last }} "
    "{{ loop.revindex }} {{ loop.revindex0 }}|{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in l %}{{ loop.nosuch }}{% endfor %}",
    "{% for x in l %}{{ loop['index'] }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}:{{ loop.last }}:{{ loop.length }} {% endfor %}",
    "{% for x in range(10) if x is odd %}{{ x }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in range(10) if x > 20 %}{{ x }}{% else %}none{% endfor %}",
    "{% set ns = namespace(found=false) %}{% for x in range(5) if not ns.found %}{{ x }}"
    "{% if x == 2 %}{% set ns.found = true %}{% endif %}{% endfor %}",
    "{% set ns = namespace(found=false) %}{% for x in range(5) if not ns.found %}{{ x }}{{ loop.last }}"
    "{% if x == 2 %}{% set ns.found = true %}{% endif %}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in l %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in range(6) %}{% if x == 4 %}{% break %}{% endif %}{% if x is odd %}{% continue %}{% endif %}{{ x }}"
    "{% endfor %}",
    "{% for x in l %}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{{ x }}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% break %}",
    "{% for x in l %}{% set loop = 1 %}{% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in l: %}{{ x }}{% endfor %}",
    "{% for x in l | map('string') %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for x in d.items() | list if x[0] != 'a' %}{{ x[0] }} {% endfor %}",
    "{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% for x in l if x > 1 and loop is defined %}{{ x }}{% endfor %}",
    "{% for a.b in l %}{% endfor %}",
    "{% set x = 1 %}{{ x }}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}",
    "{% set x, y = [1] %}",
    "{% set (x, y) = 'ab' %}{{ x }}{{ y }}",
    "{% set x = 1, 2 %}{{ x }}",
    "{% set x %}a{{ 1 }}b{% endset %}{{ x }}|{{ x | length }}",
    "{% set x | upper %}abc{% endset %}{{ x }}",
    "{% set x | replace('a', 'b') | upper %}abc{% endset %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% if false %}{% set x = 2 %}{% endif %}{{ x is defined }}",
    "{% if false %}{% set i = 2 %}{% endif %}{{ i }}",
    "{% set i = i + 1 %}{{ i }}",
    "{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% for y in l %}{{ x }}{% set x = x + y %}{{ x }} {% endfor %}{{ x }}",
    "{% for y in l %}{% set z = y %}{% endfor %}{{ z is defined }}",
    "{% for y in l %}{{ z is defined }}{% set z = y %}{{ z }} {% endfor %}",
    "{% for y in l %}{% if y == 1 %}{% set i = y %}{% endif %}{{ i }} {% endfor %}{{ i }}",
    "{% set ns = namespace(x=1, y=[]) %}{% for y in l %}{% set ns.x = ns.x + y %}{% set ns.y = ns.y + [y] %}"
    "{% endfor %}{{ ns.x }}{{ ns.y }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}",
    "{% set d.a = 2 %}",
    "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set ns = namespace(a=1) %}{% set ns.a, x = 2, 3 %}{{ ns.a }}{{ x }}",
    "{% set ns = namespace(a=1) %}{% set ns.a %}block{% endset %}{{ ns.a }}",
    "{% set true = 1 %}",
    "{% set x.y.z = 1 %}",
    "{% set 1 = 1 %}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}",
    "{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}",
    "{% macro m(x) %}{{ x }}:{{ varargs | join(',') }}:{{ kwargs | items | list }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro fact(n) %}{{ n * (fact(n - 1) | int) if n > 1 else 1 }}{% endmacro %}{{ fact(5) }}",
    "{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}",
    "{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% set i = 5 %}{{ m() }}",
    "{% macro m() %}{% set i = 1 %}{{ i }}{% endmacro %}{{ m() }}{{ i }}",
    "{% macro m() %}{{ s }}{% if false %}{% set s = 1 %}{% endif %}{% endmacro %}{{ m() }}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{% macro m() %}{% for a in l %}{{ a }}{% endfor %}{% endmacro %}[{{ m() }}]{{ m() | length }}",
    "{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ [1, 2] | map('m') | list }}",
    "{% macro m() %}  a  {% endmacro %}{{ m() | trim }}{{ m().strip() }}{{ m() is string }}",
    "{% macro m() -%}\n  a\n{%- endmacro %}[{{ m() }}]",
    "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}body {{ i }}{% endcall %}",
    "{% macro m() %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(x) m() %}[{{ x }}]{% endcall %}",
    "{% macro m(a) %}{{ a }}{{ caller(1, b=2) }}{% endmacro %}{% call(a, b=3, c=4) m('z') %}{{ a }}{{ b }}{{ c }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% call s.upper() %}y{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aac{% endfilter %}",
    "{% filter trim %}  x  {% endfilter %}|",
    "{% with %}{% set i = 1 %}{{ i }}{% endwith %}{{ i }}",
    "{% with a=1, b=i %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with i = i + 1 %}{{ i }}{% endwith %}{{ i }}",
    "{% generation %}said {{ i }}{% endgeneration %}",
    "{% generation %}{% set i = 1 %}{{ i }}{% endgeneration %}{{ i }}",
    "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% print 1, 'a' %}",
    "{% if true: %}a{% endif %}",
    "{% if l %}{% for x in l %}{% if x == 2 %}{{ x }}{% endif %}{% endfor %}{% endif %}",
    "{% if 'x' is nosuchtest %}a{% endif %}",
    "{% if false and 'x' | nosuchfilter %}a{% endif %}b",
    "{% if true %}{{ 1 | nosuchfilter }}{% endif %}",
    "{% if false %}{{ 1 | nosuchfilter }}{% endif %}ok",
    "{% for x in [] %}{{ 1 | nosuchfilter }}{% endfor %}ok",
    "{%- for m in messages -%}{{ m.role }}: {{ m.content }}\n{% endfor %}end",
    "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n",
    "{% for m in messages %}\n  {{ m.role }}\n  {%- if not loop.last %}\n  ,\n  {%- endif %}\n{% endfor %}\n",
    "{{ messages[0]['content'] | trim }}{% if not loop %}x{% endif %}",
    "{% if add_generation_prompt %}go{% endif %}{{ bos_token }}{{ tools is none }}{{ documents is none }}",
    "{%if true%}a{%endif%}{{1}}{{'b'}}",
    "{%\n if\n true\n%}a{%\nendif %}",
    "{{ 1\n+\n1 }}",
    "line\n{{ none.x.y }}",
    "{% set x = 'a' %}{% set x = x ~ 'b' %}{% set x = x + 'c' %}{{ x }}",
    "{% set x = namespace(v='') %}{% for c in 'abc' %}{% set x.v = x.v + c %}{% set x.v = x.v + '-' %}{% endfor %}{{ x.v }}",
    "{% set a = 'x' * 300 %}{% set b = a + '1' %}{% set c = a + '2' %}{% set e = b + 'y' %}{% set g = b + 'z' %}"
    "{{ (b[-1], c[-1], e[-2:], g[-2:], e | length) }}",
    "{{ 1 }}{{- ' ' -}}{{ 2 }}",
    "{%- set x = 1 -%}\n\n{{ x }}",
    "\t{% if true %}\t\n\tx{% endif %}",
    "\u00a0{% if true %}x{% endif %}\u00a0",
    "a{% if true -%}\n\u2003x{% endif %}",
    "{{ '\u00e9' }}\u4f60{{ u }}",
    "{% set \u00e9t\u00e9 = 1 %}{{ \u00e9t\u00e9 }}",
    "{{ (1, 2, 3)[1] }}{{ 'a,b'.split(',')[1] }}{{ (s.split(', ') | last)[0] }}",
    "{{ d.b[2]['c'] is none and d['a'] == 1 }}",
    "{{ not d.missing }}{{ d.missing is defined }}{{ d.missing == n }}",
    "{{ [1, 2, 3] | select('greaterthan', 1) | map('string') | join('+') }}",
    "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = ns.a + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.a }}",
    "{% for item in [1, [2, [3]]] %}{{ item }}{% if item is iterable %}{{ item | length }}{% endif %}{% endfor %}",
    "{{ {'a': 1}.items() | map('first') | list }}",
    "{% set m = messages | last %}{{ m.role }}{% set _ = 1 %}{{ _ }}",
    "{{ l | join(', ') if l is iterable and l is not string else l }}",
    "{{ ('a', 'b') in [('a', 'b')] }}{{ loop }}",
    "{% if messages[0].tool_calls is defined and messages[0].tool_calls is not none %}a{% else %}b{% endif %}",
    "{% if messages[0].tool_calls %}a{% elif 'content' in messages[0] %}b{% endif %}",
    "{% set content = messages[1].content.split('</think>')[-1].lstrip('\\n') %}{{ content }}",
    "{{ '<|' ~ messages[0].role ~ '|>' }}{{ '\\n' }}{{ \"\\n\" }}{{ '\\\\n' }}",
    "{{ raise_exception('bad: ' ~ i) }}",
]

EXPRESSIONS = ["{{ " + value + " }}" for value in VALUES.strip("\n").split("\n") if value]
EXPRESSIONS += BLOCKS
