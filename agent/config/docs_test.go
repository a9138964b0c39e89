package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folder of the repository, as seen from here.
const repository = "../.."

// TestEveryConfigurationInTheDocumentsLoads reads each block that is marked as
// HCL, on every page, as an agent would.
func TestEveryConfigurationInTheDocumentsLoads(t *testing.T) {
	pages, err := filepath.Glob(repository + "/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	block := regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$")
	found := 0
	for _, page := range append(pages, repository+"/README.md") {
		for _, match := range block.FindAllStringSubmatch(readPage(t, page), -1) {
			found++
			path := filepath.Join(t.TempDir(), filepath.Base(page)+".hcl")
			if err := os.WriteFile(path, []byte(match[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); err != nil {
				t.Errorf("%s: %v\n%s", page, err, match[1])
			}
		}
	}
	if found == 0 {
		t.Error("no block was found")
	}
}

func readPage(t *testing.T, page string) string {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// row is a key as a page describes it.
type row struct{ fallback, meaning string }

// readTables returns the tables of a page: heading → names of a key → row.
func readTables(t *testing.T, page string) map[string]map[string]row {
	tables := map[string]map[string]row{}
	line := regexp.MustCompile("^\\| (`[a-z_`, ]+`) \\| (.*) ?\\| (.*) \\|$")
	heading := ""
	for text := range strings.Lines(readPage(t, page)) {
		text = strings.TrimSuffix(text, "\n")
		if name, ok := strings.CutPrefix(text, "## "); ok {
			heading, tables[name] = name, map[string]row{}
		}
		if cells := line.FindStringSubmatch(text); cells != nil && heading != "" {
			names := strings.ReplaceAll(cells[1], "`", "")
			tables[heading][names] = row{strings.TrimSpace(cells[2]), cells[3]}
		}
	}
	return tables
}

// stanza is a table of the page and the struct that it describes.
type stanza struct {
	heading string
	of      reflect.Type
}

// TestThePageOfTheConfigurationKnowsEveryKey fails for a key that the page does
// not have or has too many, and for a wrong default.
func TestThePageOfTheConfigurationKnowsEveryKey(t *testing.T) {
	tables := readTables(t, repository+"/docs/configuration.md")
	due := []stanza{{"Top level", reflect.TypeFor[File]()}, {"template.wait", reflect.TypeFor[Wait]()}}
	visited := map[reflect.Type]bool{} // a stanza that may stand in several others has one table
	for ; len(due) > 0; due = due[1:] {
		if s := due[0]; !visited[s.of] {
			visited[s.of] = true
			due = append(due, s.compare(t, tables[s.heading])...)
		}
	}
	for heading, rows := range tables {
		if len(rows) > 0 {
			t.Errorf("the page has %q under %q, the vocabulary has not", slices.Sorted(maps.Keys(rows)), heading)
		}
	}
}

// compare removes the rows that it finds, and returns the stanzas inside.
func (s stanza) compare(t *testing.T, rows map[string]row) (inside []stanza) {
	words := newVocabulary(s.of)
	previous := ""
	for _, f := range words.fields {
		if f.names[0] != previous { // "config" is there once for each type
			s.compareKey(t, rows, f)
		}
		if f.label {
			s.compareTypes(t, rows[strings.Join(f.names, ", ")].meaning, words.types())
		}
		delete(rows, strings.Join(f.names, ", "))
		previous = f.names[0]
		if f.stanza == nil {
			continue
		}
		heading := strings.TrimPrefix(s.heading+"."+f.names[0], "Top level.")
		if f.names[0] == "config" {
			heading += " (" + f.when[0] + ")"
		}
		inside = append(inside, stanza{heading, f.stanza})
	}
	return inside
}

func (s stanza) compareKey(t *testing.T, rows map[string]row, f field) {
	names := strings.Join(f.names, ", ")
	got, ok := rows[names]
	if !ok {
		t.Errorf("%q is missing under %q", names, s.heading)
		return
	}
	if f.fallback != "" && got.fallback != "`"+f.fallback+"`" {
		t.Errorf("%q under %q: the default is %q, not %s", names, s.heading, f.fallback, got.fallback)
	}
}

// compareTypes looks for the types of a label.
func (s stanza) compareTypes(t *testing.T, meaning string, types []string) {
	for _, kind := range types {
		if !strings.Contains(meaning, "`"+kind+"`") {
			t.Errorf("the type %q of %q is missing", kind, s.heading)
		}
	}
}
