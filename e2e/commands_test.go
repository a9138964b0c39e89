package e2e

// The commands that the journeys have beside testscript's own. Those marked [!]
// may be negated.
//
//	postgres                  start a PostgreSQL with the database mydb, the table orders and its
//	                          owner vault_admin / initial-password; sets PGHOST and PGPORT
//	server [FLAG…]            start securevault-server -dev, logging all it can to server.log; sets
//	                          VAULT_ADDR and VAULT_TOKEN. Once it has ended, another one may be
//	                          started, at the same address
//	target SYSTEM             start a database of that kind, or the stand-in for one, with the admin
//	                          vault_admin / initial-password; sets DB_ADDRESS (host:port) and
//	                          whatever else server/e2e/target tells of it
//	start NAME PROGRAM ARG…   start a program in the background, which writes to NAME.out and, its
//	                          standard error, to NAME.log
//	signal NAME SIGNAL        send a signal to it
//	exits CODE PROGRAM ARG…   run a program in the foreground that must end with CODE; its output is
//	                          for the next stdout or stderr
//	field VARIABLE FILE KEY   set VARIABLE to what FILE has on its line "KEY=value" or "KEY  value";
//	                          FILE may be stdout
//
//	[!] ended NAME CODE       the background program has ended with CODE, or -1 by a signal
//	[!] login USER PASSWORD [STATEMENT]
//	                          PostgreSQL lets the user in, and run the statement; with ! it refuses
//	[!] reach SYSTEM FILE     that database lets in who uses FILE as its clients do, and do what the
//	                          role allows; with ! it refuses
//	[!] sql STATEMENT [RESULT]
//	                          run as the superuser, the statement gives this result
//	[!] roles NUMBER          PostgreSQL has as many issued roles (v-…)
//
//	eventually SECONDS [!] CONDITION ARG…
//	                          wait until a condition holds: one of the five above, or exists FILE,
//	                          grep REGEXP FILE, cmp FILE FILE. There is no other way to wait. SECONDS
//	                          are those of an idle machine; a busy one gets four times as many
//
// Each journey finds the scripts of testdata/setup in its folder, and
// examples/agent as examples, and in there examples/server as server.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// worldKey finds a script's world among its values.
type worldKey struct{}

func setup(env *testscript.Env) error {
	w := newWorld(env.WorkDir)
	env.Values[worldKey{}] = w
	env.Setenv("HOME", env.WorkDir)
	err := errors.Join(
		os.CopyFS(env.WorkDir, os.DirFS("testdata/setup")),
		os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS("../examples/agent")),
		os.CopyFS(filepath.Join(env.WorkDir, "examples", "server"), os.DirFS("../examples/server")),
	)
	if err != nil {
		return err
	}
	t := env.T().(journal)
	env.Defer(func() {
		if err := w.close(); err != nil {
			t.Errorf("ending the journey: %v", err)
		}
		if t.Failed() {
			for name, p := range w.processes {
				text, _ := os.ReadFile(p.log)
				t.Logf("%s.log:\n%s", name, text)
			}
		}
	})
	return nil
}

// journal is what a journey's end asks of its *testing.T.
type journal interface {
	Errorf(format string, args ...any)
	Failed() bool
	Logf(format string, args ...any)
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

func commands() map[string]command {
	all := map[string]command{
		"postgres":   plain(0, 0, startPostgres),
		"server":     plain(0, -1, startServer),
		"target":     plain(1, 1, startTarget),
		"start":      plain(2, -1, startProgram),
		"signal":     plain(2, 2, signalProgram),
		"exits":      plain(2, -1, exits),
		"field":      plain(3, 3, field),
		"eventually": plain(2, -1, eventually),
	}
	for _, name := range []string{"ended", "login", "reach", "sql", "roles"} {
		all[name] = asCommand(conditions()[name])
	}
	return all
}

// plain makes a command that cannot be negated. most is -1 for any number of
// arguments.
func plain(least, most int, run func(ts *testscript.TestScript, w *world, args []string) error) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least || most >= 0 && len(args) > most {
			ts.Fatalf("wrong use of the command; see commands_test.go")
		}
		ts.Check(run(ts, ts.Value(worldKey{}).(*world), args))
	}
}

func startPostgres(ts *testscript.TestScript, w *world, _ []string) error {
	ctx, cancel := stepContext()
	defer cancel()
	if err := w.startPostgres(ctx); err != nil {
		return err
	}
	ts.Setenv("PGHOST", w.postgres.Host())
	ts.Setenv("PGPORT", strconv.Itoa(w.postgres.Port))
	return nil
}

func startServer(ts *testscript.TestScript, w *world, args []string) error {
	if err := w.startServer(environment(ts), args...); err != nil {
		return err
	}
	ts.Setenv("VAULT_ADDR", "http://"+w.address)
	ts.Setenv("VAULT_TOKEN", w.rootToken)
	return nil
}

// startTarget starts a database and passes on what it tells of itself.
func startTarget(ts *testscript.TestScript, w *world, args []string) error {
	// Databases that run as an account of their own cannot enter the script's folder.
	env := slices.DeleteFunc(environment(ts), func(variable string) bool { return strings.HasPrefix(variable, "TMPDIR=") })
	if err := w.start(targetName, env, targetProgram, "serve", args[0]); err != nil {
		return err
	}
	variables, err := w.awaitTarget()
	for name, value := range variables {
		ts.Setenv(name, value)
	}
	return err
}

func startProgram(ts *testscript.TestScript, w *world, args []string) error {
	return w.start(args[0], environment(ts), args[1:]...)
}

func signalProgram(_ *testscript.TestScript, w *world, args []string) error {
	p, err := w.process(args[0])
	if err != nil {
		return err
	}
	s, err := parseSignal(args[1])
	if err != nil {
		return err
	}
	return p.signal(s)
}

func exits(ts *testscript.TestScript, w *world, args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := stepContext()
	defer cancel()
	program := exec.CommandContext(ctx, path, args[2:]...)
	program.Dir, program.Env = ts.MkAbs("."), environment(ts)
	program.Stdout, program.Stderr = ts.Stdout(), ts.Stderr()
	err = program.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return err
	}
	if got := program.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("exit code %d, want %d", got, want)
	}
	return nil
}

func field(ts *testscript.TestScript, _ *world, args []string) error {
	pattern := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[2]) + `(?:=|\s+)(\S+)\s*$`)
	found := pattern.FindStringSubmatch(ts.ReadFile(args[1]))
	if found == nil {
		return fmt.Errorf("%s has no line %s=… or %s  …", args[1], args[2], args[2])
	}
	ts.Setenv(args[0], found[1])
	return nil
}

// environment returns the variables that programs get from a script.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{
		"PATH", "HOME", "WORK", "TMPDIR", "VAULT_ADDR", "VAULT_TOKEN", "PGHOST", "PGPORT", "DB_ADDRESS",
	} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// condition looks whether something holds. An error means that it cannot be
// told, and that waiting does not help.
type condition func(ts *testscript.TestScript, w *world, args []string) (bool, error)

func conditions() map[string]condition {
	return map[string]condition{
		"ended":  arity(2, 2, hasEnded),
		"login":  arity(2, 3, login),
		"reach":  arity(2, 2, reach),
		"sql":    arity(1, 2, statement),
		"roles":  arity(1, 1, roles),
		"exists": arity(1, 1, exists),
		"grep":   arity(2, 2, grep),
		"cmp":    arity(2, 2, compare),
	}
}

func arity(least, most int, c condition) condition {
	return func(ts *testscript.TestScript, w *world, args []string) (bool, error) {
		if len(args) < least || len(args) > most {
			return false, errors.New("wrong number of arguments; see commands_test.go")
		}
		return c(ts, w, args)
	}
}

func asCommand(c condition) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		ok, err := c(ts, ts.Value(worldKey{}).(*world), args)
		ts.Check(err)
		if ok == neg {
			ts.Fatalf("the condition is %t", ok)
		}
	}
}

// busy is how many times longer than on an idle machine a wait may take.
const busy = 4

func eventually(ts *testscript.TestScript, w *world, args []string) error {
	seconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	words := args[1:]
	want := words[0] != "!"
	if !want {
		words = words[1:]
	}
	c, ok := conditions()[words[0]]
	if !ok {
		return fmt.Errorf("unknown condition %q", words[0])
	}
	limit := time.Duration(busy * seconds * float64(time.Second))
	for deadline := time.Now().Add(limit); ; time.Sleep(pollDelay) {
		got, err := c(ts, w, words[1:])
		if err != nil || got == want {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s this is still %t: %s", limit, got, strings.Join(words, " "))
		}
	}
}

func hasEnded(_ *testscript.TestScript, w *world, args []string) (bool, error) {
	p, err := w.process(args[0])
	if err != nil {
		return false, err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return false, err
	}
	got, over := p.exitCode()
	if over && got != want {
		return false, fmt.Errorf("%s has ended with %d, want %d", args[0], got, want)
	}
	return over, nil
}

func login(_ *testscript.TestScript, w *world, args []string) (bool, error) {
	statement := "SELECT current_user"
	if len(args) == 3 {
		statement = args[2]
	}
	return w.login(args[0], args[1], statement)
}

// reach knows a refusal by the exit code.
func reach(ts *testscript.TestScript, _ *world, args []string) (bool, error) {
	path, err := exec.LookPath(targetProgram)
	if err != nil {
		return false, err
	}
	ctx, cancel := stepContext()
	defer cancel()
	program := exec.CommandContext(ctx, path, "login", args[0], ts.MkAbs(args[1]))
	program.Dir, program.Env = ts.MkAbs("."), environment(ts)
	output, err := program.CombinedOutput()
	fmt.Fprintf(ts.Stdout(), "%s", output)
	if exited, ok := errors.AsType[*exec.ExitError](err); ok && exited.ExitCode() == targetRefused {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("logging in to %s: %w: %s", args[0], err, output)
	}
	return true, nil
}

func statement(ts *testscript.TestScript, w *world, args []string) (bool, error) {
	got, err := w.query(superuser, superuserPassword, args[0])
	if err != nil {
		return false, err
	}
	fmt.Fprintln(ts.Stdout(), got)
	return len(args) == 1 || got == args[1], nil
}

func roles(ts *testscript.TestScript, w *world, args []string) (bool, error) {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return false, err
	}
	got, err := w.issuedRoles()
	fmt.Fprintln(ts.Stdout(), strings.Join(got, "\n"))
	return len(got) == want, err
}

func exists(ts *testscript.TestScript, _ *world, args []string) (bool, error) {
	_, err := os.Stat(ts.MkAbs(args[0]))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func grep(ts *testscript.TestScript, _ *world, args []string) (bool, error) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(ts.MkAbs(args[1]))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return pattern.Match(text), err
}

func compare(ts *testscript.TestScript, _ *world, args []string) (bool, error) {
	first, err := os.ReadFile(ts.MkAbs(args[0]))
	if err != nil {
		return false, err
	}
	second, err := os.ReadFile(ts.MkAbs(args[1]))
	return bytes.Equal(first, second), err
}
