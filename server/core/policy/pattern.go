package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// pattern is the path of a rule: "+" stands for one segment, and a "*" at the
// end for whatever follows.
type pattern struct {
	text     string   // as written, without the leading slash
	segments []string // between slashes, the final "*" taken off
	prefix   bool     // ended in "*"
	wild     int      // place of the first "+" or "*" in text; len(text) when exact
	pluses   int
}

func parsePattern(text string) (pattern, error) {
	text = strings.TrimPrefix(text, "/")
	p := pattern{text: text, wild: len(text)}
	body, prefix := strings.CutSuffix(text, "*")
	switch {
	case strings.Contains(body, "*"):
		return p, fmt.Errorf(`path %q: "*" may only stand at the end; "+" stands for one segment`, text)
	case prefix && (body == "+" || strings.HasSuffix(body, "/+")):
		return p, fmt.Errorf(`path %q: "+*" means nothing; use "+/*" or "*"`, text)
	}
	p.prefix = prefix
	if prefix {
		p.wild = len(body)
	}
	p.segments = strings.Split(body, "/")
	at := 0
	for _, segment := range p.segments {
		if segment == "+" {
			p.pluses++
			p.wild = min(p.wild, at)
		}
		at += len(segment) + 1
	}
	return p, nil
}

func (p pattern) exact() bool { return !p.prefix && p.pluses == 0 }

// literal is what every path that matches begins with.
func (p pattern) literal() string { return p.text[:p.wild] }

func (p pattern) match(path string) bool {
	if p.pluses == 0 { // a prefix, as exact paths are looked up in a map
		return strings.HasPrefix(path, p.text[:p.wild])
	}
	last := len(p.segments) - 1
	for i, want := range p.segments {
		if i == last && p.prefix {
			return strings.HasPrefix(path, want)
		}
		segment, rest, more := strings.Cut(path, "/")
		if want == "+" && segment == "" || want != "+" && segment != want {
			return false
		}
		if i == last {
			return !more
		}
		if !more {
			return false
		}
		path = rest
	}
	return false
}

// moreSpecific orders patterns so that the first that matches decides.
func moreSpecific(a, b pattern) int {
	return cmp.Or(
		cmp.Compare(b.wild, a.wild),
		compareBool(a.prefix, b.prefix),
		cmp.Compare(a.pluses, b.pluses),
		cmp.Compare(len(b.text), len(a.text)),
		cmp.Compare(b.text, a.text),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
