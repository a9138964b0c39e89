package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// typed is a command of ours as the documents write it: at the start of a line
// or of code, up to whatever ends it there.
var typed = regexp.MustCompile("(?m)(?:^ *|[`/(;|] ?)(securevault(?:-server)?)((?: +[^\\s`|;)#]+)+)")

// TestTheDocumentsTypeWhatThereIs looks up each command of the documents, with
// its flags, in what the programs say of themselves.
func TestTheDocumentsTypeWhatThereIs(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../examples/*/README.md", "../server/engines/database/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		pages = append(pages, found...)
	}
	told := make(manual)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range typed.FindAllStringSubmatch(string(text), -1) {
			if problem := told.problem(t, found[1], strings.Fields(found[2])); problem != "" {
				t.Errorf("%s: %q: %s", page, found[1]+found[2], problem)
			}
		}
	}
	if len(told) == 0 {
		t.Error("the documents type nothing")
	}
}

// manual maps a command, such as "securevault lease renew", to its help.
type manual map[string]string

var (
	subcommand = regexp.MustCompile(`(?m)^(?:    |(?:Usage:|      ) securevault-server )([a-z][a-z-]*) `)
	lowerCase  = regexp.MustCompile(`^[a-z]`)
)

// problem says what is wrong with a command, "" if nothing is.
func (m manual) problem(t *testing.T, program string, args []string) string {
	t.Helper()
	command := program
	for len(args) > 0 && slices.Contains(m.below(t, command), args[0]) {
		command, args = command+" "+args[0], args[1:]
	}
	if len(args) > 0 && len(m.below(t, command)) > 0 && lowerCase.MatchString(args[0]) {
		return "there is no such command"
	}
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || name == "" || name == "help" {
			continue
		}
		if !regexp.MustCompile(`(?m)^ +-` + regexp.QuoteMeta(name) + `\b`).MatchString(m.help(t, command)) {
			return "there is no flag -" + name
		}
	}
	return ""
}

// below returns the commands that a command has.
func (m manual) below(t *testing.T, command string) (names []string) {
	t.Helper()
	for _, found := range subcommand.FindAllStringSubmatch(m.help(t, command), -1) {
		names = append(names, found[1])
	}
	return names
}

// help returns what a command says of itself.
func (m manual) help(t *testing.T, command string) string {
	t.Helper()
	if text, ok := m[command]; ok {
		return text
	}
	words := strings.Fields(command + " -help")
	text, err := exec.CommandContext(t.Context(), words[0], words[1:]...).Output()
	if err != nil {
		t.Fatalf("%s -help: %v", command, err)
	}
	m[command] = string(text)
	return m[command]
}

// changed is what the commands of docs/databases.md need to meet the systems of
// server/e2e/target, which speak no TLS.
var changed = strings.NewReplacer(
	`password="admin-password"`, `password="initial-password"`, `password="Initial-password-1"`, `password="initial-password"`,
	"https://", "http://", "encrypt=true", "encrypt=disable", "sslmode=require", "sslmode=disable",
	"    tls=true \\\n", "", "    ca_cert=@ca.pem \\\n", "", "    ca_cert=@es-ca.pem \\\n", "", "    persistence_mode=\"ACLFILE\" \\\n", "",
)

// TestThePageOfTheDatabasesIsTyped runs what docs/databases.md has a newcomer
// type for each system, in its order.
func TestThePageOfTheDatabasesIsTyped(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/databases.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		heading string
		blocks  int // of commands, from the beginning; those behind them are about other systems, or need files
	}{
		"elasticsearch": {"Elasticsearch", 2}, "mongodb": {"MongoDB", 1}, "mssql": {"Microsoft SQL Server", 1}, "mysql": {"MySQL", 1},
		"oracle": {"Oracle", 1}, "postgresql": {"PostgreSQL", 2}, "redis": {"Redis", 3},
	}
	for system, test := range tests {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			_, section, _ := strings.Cut(string(page), "\n## "+test.heading+"\n")
			section, _, _ = strings.Cut(section, "\n## ")
			blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(section, test.blocks)
			if len(blocks) < test.blocks {
				t.Fatalf("there are %d blocks of commands", len(blocks))
			}
			var script string
			for _, block := range blocks {
				script += block[1]
			}
			const enable = "securevault secrets enable database\n" // which the first section says for all
			typeFor(t, system, enable+strings.TrimPrefix(changed.Replace(script), enable))
		})
	}
}

// typeFor runs a script against a system of its own, and a server.
func typeFor(t *testing.T, system, script string) {
	t.Helper()
	w := newWorld(t.TempDir())
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.startServer(os.Environ()); err != nil {
		t.Fatal(err)
	}
	if err := w.start(targetName, os.Environ(), targetProgram, "serve", system); err != nil {
		t.Fatal(err)
	}
	told, err := w.awaitTarget()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(told["DB_ADDRESS"], ":")
	script = regexp.MustCompile(`[a-z]+\.prod\.internal(:\d+)?`).ReplaceAllStringFunc(script, func(address string) string {
		if strings.Contains(address, ":") {
			return told["DB_ADDRESS"]
		}
		return host
	})
	script = strings.ReplaceAll(script, "port=6379", "port="+port)
	command := exec.CommandContext(t.Context(), "sh", "-ec", script)
	command.Dir = w.folder
	command.Env = append(os.Environ(), "HOME="+w.folder, "VAULT_ADDR=http://"+w.address, "VAULT_TOKEN="+w.rootToken)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
