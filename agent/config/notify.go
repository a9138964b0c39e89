package config

import (
	"net/url"
	"strings"
)

// Notify says how the app is told of a change. Which keys there are follows
// from the type; a signal goes to the process that exactly one of PID,
// PIDFile, Process and CGroup names.
type Notify struct {
	Origin
	Type    string   `hcl:"type,label"`
	Signal  Signal   `hcl:"signal" when:"signal child" default:"SIGHUP"`
	PID     int      `hcl:"pid" when:"signal"`
	PIDFile string   `hcl:"pidfile" when:"signal"`
	Process string   `hcl:"process" when:"signal"`
	CGroup  string   `hcl:"cgroup" when:"signal"`
	Command Command  `hcl:"command,required" when:"command"`
	Unit    string   `hcl:"unit,required" when:"systemd"`
	Restart bool     `hcl:"restart" when:"child systemd"` // rather than signal or reload
	URL     string   `hcl:"url,required" when:"webhook"`
	Method  string   `hcl:"method" when:"webhook" default:"POST"`
	Socket  string   `hcl:"socket" when:"webhook"` // path of the unix socket that serves URL
	CACert  string   `hcl:"ca_cert" when:"webhook"`
	Headers Pairs    `hcl:"headers" when:"webhook"`
	Timeout Duration `hcl:"timeout" when:"command systemd webhook" default:"30s"`
	Retries int      `hcl:"retries" when:"command systemd webhook" default:"3"`
	Splay   Duration `hcl:"splay"`  // at most this long before it is told, by instance
	Budget  Budget   `hcl:"budget"` // zero for no limit
}

func (n Notify) check(r *report) {
	checkPositive(r, n.Origin, "timeout", n.Timeout, "30s is the default")
	checkLeast(r, n.Origin, "retries", n.Retries, 0)
	switch n.Type {
	case "signal":
		n.checkTarget(r)
	case "systemd":
		checkFilled(r, n.Origin, "unit", n.Unit)
	case "webhook":
		target, err := url.Parse(n.URL)
		if n.Has("url") && (err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https") {
			r.problem(n.Where("url"), "write it as https://host/path", "url: want an address of HTTP")
		}
		checkFilled(r, n.Origin, "socket", n.Socket)
	}
}

func (n Notify) checkTarget(r *report) {
	var targets []string
	for _, key := range []string{"pid", "pidfile", "process", "cgroup"} {
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
	for key, value := range map[string]string{"pidfile": n.PIDFile, "process": n.Process, "cgroup": n.CGroup} {
		checkFilled(r, n.Origin, key, value)
	}
}

func countOf(targets []string) string {
	if len(targets) == 0 {
		return "no target"
	}
	return "more than one target: " + strings.Join(targets, ", ")
}
