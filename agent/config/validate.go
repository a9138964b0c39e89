package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// validate checks each stanza for values that fit no purpose, and all of them
// for how they fit together. It goes by [Origin.Has] where it matters whether
// a key is there, so that a key with a wrong value is not also called missing.
func (f *File) validate(r *report) {
	f.checkLog(r)
	f.Vault.check(r)
	if f.AutoAuth != nil {
		f.AutoAuth.check(r)
	}
	f.TemplateConfig.check(r)
	checkFraction(r, f.Lease.Origin, "renew_at", f.Lease.RenewAt)
	checkOverlap(r, f.Lease.Origin, f.Lease.Overlap)
	if jitter := f.Lease.Jitter; !(jitter >= 0 && jitter <= 0.5) {
		r.problem(f.Lease.Where("jitter"), "0.1 lets delays vary by 10 %", "jitter: want a fraction from 0 to 0.5")
	}
	for _, n := range f.Notify {
		n.check(r)
	}
	for _, t := range f.Templates {
		t.check(r)
	}
	f.checkPurpose(r)
	f.checkDestinations(r)
}

// checkPurpose makes sure that there is something to do.
func (f *File) checkPurpose(r *report) {
	templates := f.Has("template")
	switch {
	case f.Has("auto_auth") && f.AutoAuth != nil && !f.AutoAuth.Has("sink") && !templates:
		r.problem(f.AutoAuth.At, "add a sink or a template", "auto_auth gets a token that nobody uses")
	case !f.Has("auto_auth") && !templates:
		r.problem(f.At, "add a template, or auto_auth with a sink", "the configuration gives the agent nothing to do")
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
}

func (f *File) checkLog(r *report) {
	checkWord(r, f.Origin, "log_level", f.LogLevel, "trace", "debug", "info", "warn", "error")
	checkWord(r, f.Origin, "log_format", f.LogFormat, "standard", "json")
}

func (v Vault) check(r *report) {
	if v.Address != "" {
		address, err := url.Parse(v.Address)
		known := err == nil && slices.Contains([]string{"http", "https", "unix"}, address.Scheme)
		if !known || address.Host == "" && address.Path == "" {
			r.problem(v.Where("address"), "write it as https://host:8200", "address: %q is no address of a server", v.Address)
		}
	}
	if v.Has("client_cert") != v.Has("client_key") {
		r.problem(v.At, "set both or none", "client_cert and client_key go together")
	}
	if v.Retry.NumRetries < -1 {
		r.problem(v.Retry.Where("num_retries"), "-1 turns retries off, 0 means 12", "num_retries: want -1 or more, got %d", v.Retry.NumRetries)
	}
}

func (a AutoAuth) check(r *report) {
	m := a.Method
	if m.MinBackoff == 0 && m.Has("min_backoff") {
		r.problem(m.Where("min_backoff"), "1s is the default", "min_backoff: want more than 0")
	}
	if m.MinBackoff > m.MaxBackoff {
		r.problem(m.Where("max_backoff"), "raise max_backoff", "max_backoff %s is less than min_backoff %s", m.MaxBackoff, m.MinBackoff)
	}
	if m.AppRole != nil {
		checkFilled(r, m.AppRole.Origin, "role_id_file_path", m.AppRole.RoleIDFilePath)
	}
	if m.TokenFile != nil {
		checkFilled(r, m.TokenFile.Origin, "token_file_path", m.TokenFile.Path)
	}
	for _, s := range a.Sinks {
		if s.File != nil {
			checkFilled(r, s.File.Origin, "path", s.File.Path)
		}
	}
}

func (c TemplateConfig) check(r *report) {
	if c.StaticSecretRenderInterval == 0 && c.Has("static_secret_render_interval") {
		r.problem(c.Where("static_secret_render_interval"), "5m is the default", "static_secret_render_interval: want more than 0")
	}
	if c.MaxConnectionsPerHost < 1 && c.Has("max_connections_per_host") {
		r.problem(c.Where("max_connections_per_host"), "10 is the default", "max_connections_per_host: want 1 or more, got %d", c.MaxConnectionsPerHost)
	}
	checkFraction(r, c.Origin, "lease_renewal_threshold", c.LeaseRenewalThreshold)
}

func (t Template) check(r *report) {
	switch {
	case t.Has("source") && t.Has("contents"):
		r.problem(t.Where("contents"), "keep one of them", "the template has both source and contents")
	case !t.Has("source") && !t.Has("contents"):
		r.problem(t.At, "set source to a path, or contents to the template itself", "the template has neither source nor contents")
	case t.Has("source"):
		checkFilled(r, t.Origin, "source", t.Source)
	}
	checkFilled(r, t.Origin, "destination", t.Destination)
	if t.Has("command") && t.Has("exec") {
		r.problem(t.Where("exec"), "keep one of them", "the template has both command and exec")
	}
	if (t.LeftDelimiter == "") != (t.RightDelimiter == "") {
		r.problem(t.At, "set both or none", "left_delimiter and right_delimiter go together")
	}
	if t.Wait != nil && t.Wait.Min > t.Wait.Max {
		r.problem(t.Where("wait"), "write wait = \"min:max\"", "wait: the least time %s is more than the most %s", t.Wait.Min, t.Wait.Max)
	}
	if t.Has("renew_at") {
		checkFraction(r, t.Origin, "renew_at", t.RenewAt)
	}
	checkOverlap(r, t.Origin, t.Overlap)
	checkTimeout(r, t.Origin, "command_timeout", t.CommandTimeout)
	if t.Exec != nil {
		checkTimeout(r, t.Exec.Origin, "timeout", t.Exec.Timeout)
	}
	for _, n := range t.Notify {
		n.check(r)
	}
}

func (n Notify) check(r *report) {
	if n.Type == "command" {
		checkTimeout(r, n.Origin, "timeout", n.Timeout)
	}
	if n.Type != "signal" {
		return
	}
	var targets []string
	for _, key := range []string{"pid", "pidfile", "process"} {
		if n.Has(key) {
			targets = append(targets, key)
		}
	}
	if len(targets) != 1 {
		r.problem(n.At, "set exactly one of pid, pidfile and process", "the signal has %s", countOf(targets))
	}
	if n.Has("pid") && n.PID < 1 {
		r.problem(n.Where("pid"), "", "pid: want the number of a process, got %d", n.PID)
	}
	for key, value := range map[string]string{"pidfile": n.PIDFile, "process": n.Process} {
		checkFilled(r, n.Origin, key, value)
	}
}

func countOf(targets []string) string {
	if len(targets) == 0 {
		return "no target"
	}
	return "more than one target: " + strings.Join(targets, ", ")
}

// checkFilled refuses a key that is there and empty.
func checkFilled(r *report, o Origin, key, value string) {
	if o.Has(key) && value == "" {
		r.problem(o.Where(key), "write a value or remove the key", "%s is empty", key)
	}
}

func checkWord(r *report, o Origin, key, value string, words ...string) {
	if !slices.Contains(words, strings.ToLower(value)) {
		r.problem(o.Where(key), suggest(value, words), "%s: unknown value %q", key, value)
	}
}

func checkFraction(r *report, o Origin, key string, x float64) {
	if !(x > 0 && x < 1) {
		r.problem(o.Where(key), "0.5 is half of the lease's time", "%s: want a fraction between 0 and 1", key)
	}
}

func checkOverlap(r *report, o Origin, overlap Duration) {
	if o.Has("overlap") && overlap == 0 {
		r.problem(o.Where("overlap"), "remove it to have it follow from the TTL", "overlap: want more than 0")
	}
}

func checkTimeout(r *report, o Origin, key string, timeout Duration) {
	if o.Has(key) && timeout == 0 {
		r.problem(o.Where(key), "30s is the default", "%s: want more than 0", key)
	}
}
