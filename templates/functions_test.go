package templates

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
)

// TestEveryFunctionOfTheLibraryIsDecidedOn compares the lists of functions.go
// with the source of the library: after an upgrade, a new function has to be
// put on one of them.
func TestEveryFunctionOfTheLibraryIsDecidedOn(t *testing.T) {
	theirs := libraryMap(t)
	if len(theirs) < 90 {
		t.Fatalf("found only %d functions in the library: %v", len(theirs), theirs)
	}
	for _, name := range theirs {
		_, refused := refusals()[name]
		lists := 0
		for _, listed := range []bool{library()[name] != nil, listed(ownFunctions, name), refused} {
			if listed {
				lists++
			}
		}
		if lists != 1 {
			t.Errorf("%q is on %d lists, want 1", name, lists)
		}
	}
	for name := range library() {
		if !slices.Contains(theirs, name) {
			t.Errorf("%q is not a function of the library", name)
		}
	}
}

// libraryMap reads the names of the map that funcMap makes.
func libraryMap(t *testing.T) []string {
	t.Helper()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/hashicorp/consul-template/template").Output()
	if err != nil {
		t.Fatalf("finding the source of consul-template: %v; run the tests with the go command in PATH", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(folder)), "template.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		entry, ok := node.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if key, ok := entry.Key.(*ast.BasicLit); ok && key.Kind == token.STRING {
			name, err := strconv.Unquote(key.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return true
	})
	return names
}

// TestOwnFunctionsAreOnTheirList keeps the list and the map in step.
func TestOwnFunctionsAreOnTheirList(t *testing.T) {
	functions := newEvaluation(Config{}, nil).functions(template.New(""))
	for name := range functions {
		if !listed(ownFunctions, name) {
			t.Errorf("%q is missing in the list", name)
		}
	}
	if n := len(strings.Fields(ownFunctions)); n != len(functions) {
		t.Errorf("%d functions on the list, %d in the map", n, len(functions))
	}
}
