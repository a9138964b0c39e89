package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// promises are the numbered rows of the agent's reference that a test must
// prove: what users of other agents complain about, and what no other agent has.
var promises = map[int]int{2: 24, 3: 10} // section → rows

// claim is how a test names the rows that it proves: in a line of the comment
// above it, or of a journey's head.
var (
	claim  = regexp.MustCompile(`^(?://|#) Reference, section (\d+), rows? (\d+(?:(?:, | and )\d+)*)\.$`)
	number = regexp.MustCompile(`\d+`)
)

func TestEveryRowOfTheReferenceHasATestThatNamesIt(t *testing.T) {
	proved := make(map[int]map[int]bool) // section → row
	for section := range promises {
		proved[section] = make(map[int]bool)
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "server" || entry.Name() == ".git"):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".txtar"):
			return collect(path, proved)
		default:
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for section, rows := range promises {
		for row := 1; row <= rows; row++ {
			if !proved[section][row] {
				t.Errorf("no test says %q", fmt.Sprintf("Reference, section %d, row %d.", section, row))
			}
		}
	}
}

// collect notes the rows that the tests of a file prove. A line that names none,
// or stands above no test, is an error.
func collect(path string, proved map[int]map[int]bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(strings.TrimLeft(line, "/# \t"), "Reference, section") {
			continue
		}
		found := claim.FindStringSubmatch(line)
		if found == nil || !heads(lines[i+1:], filepath.Ext(path)) {
			return fmt.Errorf("%s:%d: %q is not above a test, or not written as %q", path, i+1, line, "Reference, section 2, rows 1 and 11.")
		}
		section, _ := strconv.Atoi(found[1])
		for _, text := range number.FindAllString(found[2], -1) {
			row, _ := strconv.Atoi(text)
			if row < 1 || row > promises[section] {
				return fmt.Errorf("%s:%d: there is no row %d in section %d", path, i+1, row, section)
			}
			proved[section][row] = true
		}
	}
	return nil
}

// heads reports whether lines that follow a comment begin what is tested.
func heads(lines []string, extension string) bool {
	for _, line := range lines {
		if !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "#") {
			return extension == ".txtar" && line == "" || strings.HasPrefix(line, "func Test")
		}
	}
	return false
}
