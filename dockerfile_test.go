package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instructions returns those of the Dockerfile, each in one line.
func instructions(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\\\n", " ")) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// sources returns what the Dockerfile copies of the repository.
func sources(t *testing.T) []string {
	var all []string
	for _, line := range instructions(t) {
		words := strings.Fields(line)
		if words[0] == "COPY" && !strings.HasPrefix(words[1], "--from=") {
			all = append(all, words[1:len(words)-1]...)
		}
	}
	return all
}

func TestTheImageCopiesWhatThereIs(t *testing.T) {
	for _, path := range sources(t) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("COPY %s: %v", path, err)
		}
	}
}

func TestTheImageCopiesAllThatTheProgramIsMadeOf(t *testing.T) {
	const module = "github.com/novatech/securevault/"
	output, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range strings.Fields(string(output)) {
		path, ours := strings.CutPrefix(name, module)
		if !ours {
			continue
		}
		found++
		folder, _, _ := strings.Cut(path, "/")
		if !slices.Contains(sources(t), folder) {
			t.Errorf("the package %q is not in the image's build", name)
		}
	}
	if found == 0 {
		t.Error("the program has no packages of its own")
	}
}

func TestTheImageIsMadeOfImagesWithoutARegistry(t *testing.T) {
	for _, line := range instructions(t) {
		words := strings.Fields(line)
		if words[0] != "FROM" {
			continue
		}
		if host, _, _ := strings.Cut(words[1], "/"); host != words[1] && strings.ContainsAny(host, ".:") {
			t.Errorf("%s names the registry %q", line, host)
		}
	}
}

func TestTheImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if version == nil {
		t.Fatal("go.mod names no version of Go")
	}
	if want := "FROM golang:" + string(version[1]) + " AS build"; !slices.Contains(instructions(t), want) {
		t.Errorf("the Dockerfile has no %q", want)
	}
}

func TestTheImageIsWhatTheInjectorExpects(t *testing.T) {
	all := strings.Join(instructions(t), "\n")
	for _, want := range []string{
		"\nFROM busybox:",              // brings sh, base64 and sleep
		"ln -s securevault /bin/vault", // the name that is called
		"\nENV HOME=/home/vault\n",     // where the token is looked for
		"\nUSER 100:1000\n",            // not root
		"CGO_ENABLED=0",                // there is no C library
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the Dockerfile has no %q", strings.TrimSpace(want))
		}
	}
}
