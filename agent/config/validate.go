package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// validate checks each stanza for values that fit no purpose, and all of them
// for how they fit together. It goes by [Origin.Has] where it matters whether
// a key is there, so that a key with a wrong value is not also called missing.
func (f *File) validate(r *report) {
	f.checkLog(r)
	f.checkConnections(r)
	f.Vault.check(r)
	if f.AutoAuth != nil {
		f.AutoAuth.check(r)
	}
	f.TemplateConfig.check(r)
	f.Lease.check(r)
	if f.State != nil {
		f.State.check(r)
	}
	if f.Cache != nil && f.Cache.Persist != nil {
		f.Cache.Persist.check(r, f.Has("state"))
	}
	for _, n := range f.Notify {
		n.check(r)
	}
	for _, t := range f.Templates {
		t.check(r)
	}
	for _, g := range f.Groups {
		g.check(r)
	}
	for _, e := range f.EnvFiles {
		e.check(r)
	}
	f.checkChild(r)
	if f.Credentials != nil {
		f.Credentials.check(r)
	}
	for _, l := range f.Listeners {
		l.check(r)
	}
	if f.Telemetry != nil {
		f.Telemetry.check(r)
	}
	f.checkWrapped(r)
	f.checkPurpose(r)
	f.checkServing(r)
	f.checkDestinations(r)
}

// renders reports whether there is anything to render.
func (f *File) renders() bool {
	return slices.ContainsFunc([]string{"template", "group", "env_file", "env_template", "credentials"}, f.Has)
}

// checkPurpose makes sure that there is something to do.
func (f *File) checkPurpose(r *report) {
	serves := f.Has("api_proxy") || f.Has("cache")
	ownToken := f.APIProxy != nil && f.APIProxy.UseAutoAuthToken != UseCallers || f.Cache != nil && f.Cache.UseAutoAuthToken != UseCallers
	switch {
	case f.Has("auto_auth") && f.AutoAuth != nil && !f.AutoAuth.Has("sink") && !f.renders() && !ownToken:
		r.problem(f.AutoAuth.At, "add a sink or a template", "auto_auth gets a token that nobody uses")
	case !f.Has("auto_auth") && !f.renders() && !serves:
		r.problem(f.At, "add a template, or auto_auth with a sink", "the configuration gives the agent nothing to do")
	}
}

// checkServing makes sure that what answers callers has somewhere to.
func (f *File) checkServing(r *report) {
	if f.Has("listener") {
		return
	}
	if f.Has("api_proxy") {
		r.problem(f.Where("api_proxy"), "add listener \"tcp\" { … }", "api_proxy has no listener")
	}
	if f.Has("cache") && !f.renders() {
		r.problem(f.Where("cache"), "add listener \"tcp\" { … } or a template", "cache has neither a listener nor a template")
	}
}

// checkDestinations finds files that two stanzas would write in turn.
func (f *File) checkDestinations(r *report) {
	first := make(map[string]Position) // cleaned path → where it was named first
	claim := func(path string, at Position) {
		if path == "" {
			return
		}
		path = filepath.Clean(path)
		if other, taken := first[path]; taken {
			r.problem(at, "give each its own file", "%q is written by %s already", path, other)
			return
		}
		first[path] = at
	}
	if f.AutoAuth != nil {
		for _, s := range f.AutoAuth.Sinks {
			if s.File != nil {
				claim(s.File.Path, s.File.Where("path"))
			}
		}
	}
	for _, t := range f.Templates {
		claim(t.Destination, t.Where("destination"))
	}
	for _, e := range f.EnvFiles {
		claim(e.Destination, e.Where("destination"))
	}
	for _, g := range f.Groups {
		claim(g.Directory, g.Where("directory"))
		for _, t := range g.Templates {
			if g.Directory != "" && t.Destination != "" {
				claim(filepath.Join(g.Directory, t.Destination), t.Where("destination"))
			}
		}
	}
}

func (f *File) checkLog(r *report) {
	checkWord(r, f.Origin, "log_level", strings.ToLower(f.LogLevel), "trace", "debug", "info", "warn", "error")
	checkWord(r, f.Origin, "log_format", strings.ToLower(f.LogFormat), "standard", "json")
	checkLeast(r, f.Origin, "log_rotate_bytes", f.LogRotateBytes, 0)
	checkLeast(r, f.Origin, "log_rotate_max_files", f.LogRotateMaxFiles, -1)
	for _, key := range []string{"log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files"} {
		if f.Has(key) && !f.Has("log_file") {
			r.warning(f.Where(key), "set log_file", "%s has no effect without a log file", key)
		}
	}
}

func (f *File) checkChild(r *report) {
	checkVariables(r, f.EnvTemplates)
	switch {
	case f.Has("env_template") && !f.Has("exec"):
		r.problem(f.Where("env_template"), "add exec with the command, or use env_file", "env_template is the environment of a child, and there is none")
	case f.Has("exec") && !f.renders():
		r.problem(f.Where("exec"), "add env_template \"NAME\" { … } or a template", "exec starts a child that has no secret")
	}
	for _, n := range f.notifications() {
		if n.Type == "child" && !f.Has("exec") {
			r.problem(n.At, "add exec with the command, or use another type", "there is no child to tell")
		}
	}
	if c := f.Child; c != nil {
		checkWord(r, c.Origin, "restart_on_secret_changes", c.Restart, "always", "never")
		checkPositive(r, c.Origin, "kill_timeout", c.KillTimeout, "30s is the default")
	}
}

// notifications returns every notify stanza.
func (f *File) notifications() []Notify {
	all := slices.Clone(f.Notify)
	for _, t := range f.Templates {
		all = append(all, t.Notify...)
	}
	for _, g := range f.Groups {
		all = append(all, g.Notify...)
		for _, t := range g.Templates {
			all = append(all, t.Notify...)
		}
	}
	for _, e := range f.EnvFiles {
		all = append(all, e.Notify...)
	}
	return all
}

// checkFilled refuses a key that is there and empty.
func checkFilled(r *report, o Origin, key, value string) {
	if o.Has(key) && value == "" {
		r.problem(o.Where(key), "write a value or remove the key", "%s is empty", key)
	}
}

func checkWord(r *report, o Origin, key, value string, words ...string) {
	if !slices.Contains(words, value) {
		r.problem(o.Where(key), suggest(value, words), "%s: unknown value %q", key, value)
	}
}

func checkFraction(r *report, o Origin, key string, x float64) {
	if !(x > 0 && x < 1) {
		r.problem(o.Where(key), "0.5 is half of the lease's time", "%s: want a fraction between 0 and 1", key)
	}
}

// checkPositive refuses a time of 0 that was written.
func checkPositive(r *report, o Origin, key string, d Duration, hint string) {
	if o.Has(key) && d == 0 {
		r.problem(o.Where(key), hint, "%s: want more than 0", key)
	}
}

func checkLeast(r *report, o Origin, key string, n, least int) {
	if o.Has(key) && n < least {
		r.problem(o.Where(key), "", "%s: want %d or more, got %d", key, least, n)
	}
}

// checkPair refuses one of two keys that need each other.
func checkPair(r *report, o Origin, one, other string) {
	if o.Has(one) != o.Has(other) {
		r.problem(o.At, "set both or none", "%s and %s go together", one, other)
	}
}
