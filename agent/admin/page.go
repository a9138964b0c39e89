package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pageText is the whole page: markup, style and script.
//
//go:embed page.html
var pageText string

// maxShown is how many credentials, and how many outputs, the page shows.
const maxShown = 500

// page is the status for people. It is made here, whole, so that it works
// without a script; the one that it has fetches it again and puts what has
// changed in its place.
type page struct {
	template *template.Template
	policy   string // Content-Security-Policy: what the page may do
}

func newPage() (*page, error) {
	parsed, err := template.New("page.html").Funcs(template.FuncMap{
		"duration": Until, "stamp": stamp, "newestFirst": newestFirst, "at": func(g Grant, now time.Time) moment { return moment{g, now} },
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("reading the status page: %w", err)
	}
	p := &page{template: parsed}
	text, err := p.render(Status{})
	if err != nil {
		return nil, err
	}
	p.policy = fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; connect-src 'self'; "+
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hashOf(text, "style"), hashOf(text, "script"))
	return p, nil
}

// hashOf names the content of the page's one such element to the browser.
func hashOf(text []byte, element string) string {
	_, after, _ := strings.Cut(string(text), "<"+element+">")
	content, _, _ := strings.Cut(after, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// moment is a grant at a time.
type moment struct {
	Grant Grant
	Now   time.Time
}

// shown is what the page shows of a status.
type shown struct {
	Status
	HiddenCredentials, HiddenOutputs int
}

// render writes the page. What fails stands first, and is never left out.
func (p *page) render(status Status) ([]byte, error) {
	what := shown{Status: status}
	what.Credentials = slices.Clone(status.Credentials)
	slices.SortStableFunc(what.Credentials, func(a, b Credential) int { return first(a.Error != "", b.Error != "") })
	what.Outputs = slices.Clone(status.Outputs)
	slices.SortStableFunc(what.Outputs, func(a, b Output) int { return first(a.State != Published, b.State != Published) })
	what.HiddenCredentials = max(len(what.Credentials)-maxShown, 0)
	what.Credentials = what.Credentials[:len(what.Credentials)-what.HiddenCredentials]
	what.HiddenOutputs = max(len(what.Outputs)-maxShown, 0)
	what.Outputs = what.Outputs[:len(what.Outputs)-what.HiddenOutputs]
	var text bytes.Buffer
	if err := p.template.Execute(&text, what); err != nil {
		return nil, fmt.Errorf("writing the status page: %w", err)
	}
	return text.Bytes(), nil
}

// first orders what has a property before what has not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) {
	status, ok := s.look(w, r)
	if !ok {
		return
	}
	text, err := s.page.render(status)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", s.page.policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	// The caller may have gone away; there is nobody left to tell.
	_, _ = w.Write(text)
}

// stamp writes a time for machines.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newestFirst(history []Rotation) []Rotation {
	reversed := slices.Clone(history)
	slices.Reverse(reversed)
	return reversed
}
