package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/novatech/securevault/agent/admin"
)

// text tells a plan for a terminal.
func (f forecast) text() string {
	var out strings.Builder
	if f.Asked {
		fmt.Fprintf(&out, "Plan for %s; nothing was issued\n\nTOKEN\n", printable(f.Server))
		out.WriteString(wrapped("  ", fmt.Sprintf("from %s, policies %s", f.Token.Origin, strings.Join(f.Token.Policies, ", "))))
		out.WriteString(wrapped("  ", f.Token.describe()))
	} else {
		out.WriteString("Plan without the server: rights and lifetimes are not known\n")
	}
	fmt.Fprintf(&out, "\nSECRETS  %s\n", f.count())
	for _, s := range f.Secrets {
		out.WriteString(s.text(f.Asked))
	}
	out.WriteString("\nOUTPUTS\n")
	for _, o := range f.Outputs {
		out.WriteString(o.text())
	}
	if f.Child != nil {
		out.WriteString("\nPROGRAM\n")
		out.WriteString(wrapped("  ", fmt.Sprintf("%s, restarted %s by %s; variables %s",
			f.Child.Command, f.Child.Restart, f.Child.StopSignal, strings.Join(f.Child.Variables, ", "))))
	}
	if len(f.Notes) > 0 {
		out.WriteString("\n")
	}
	for _, note := range f.Notes {
		out.WriteString(detail("!", note))
	}
	return out.String()
}

// count tells how many secrets there are, and how many would be requested.
func (f forecast) count() string {
	adopted, missing := 0, 0
	for _, s := range f.Secrets {
		if s.Adopted {
			adopted++
		}
		if s.Missing {
			missing++
		}
	}
	text := fmt.Sprintf("%d, of which %d new", len(f.Secrets), len(f.Secrets)-adopted)
	if adopted > 0 {
		text += fmt.Sprintf(" and %d adopted from the state", adopted)
	}
	if missing > 0 {
		text += fmt.Sprintf("; %d NOT ALLOWED", missing)
	}
	return text
}

func (s foreseenSecret) text(asked bool) string {
	text := wrapped("  ", s.Path)
	if asked {
		text += wrapped("    ", s.right())
		text += wrapped("    ", s.describe())
	}
	for _, user := range s.Dependents {
		text += wrapped("    → ", user)
	}
	return text
}

// right tells whether the token may have a secret.
func (s foreseenSecret) right() string {
	needed := strings.Join(s.Needs, " or ")
	switch may := strings.Join(s.May, ", "); {
	case s.May == nil:
		return fmt.Sprintf("%s: the server does not say", needed)
	case s.Missing:
		return fmt.Sprintf("%s: NO; at %s the token has %s", needed, s.Request, may)
	default:
		return fmt.Sprintf("%s: yes", needed)
	}
}

// describe tells a life in one line.
func (l foreseenLife) describe() string {
	var text string
	switch {
	case l.Kind == lifeUnknown:
		return "lifetime: the server does not say"
	case l.Kind == lifeStatic:
		text = "does not end"
	case l.TTL == 0:
		return "lifetime: the server's default"
	case l.Kind == lifeRotation:
		text = fmt.Sprintf("rotated by the server every %s", duration(l.TTL))
	default:
		text = fmt.Sprintf("lives %s", duration(l.TTL))
	}
	if l.MaxTTL > 0 {
		text += fmt.Sprintf(", renewed at most to %s", duration(l.MaxTTL))
	}
	if l.Source != "" {
		text += fmt.Sprintf(" (%s)", l.Source)
	}
	for _, step := range l.Next {
		text += fmt.Sprintf("; %s after %s", step.Action, duration(step.After))
	}
	return text
}

// duration tells a number of seconds.
func duration(seconds int64) string {
	var start time.Time
	return admin.Until(start.Add(time.Duration(seconds)*time.Second), start)
}

func (o foreseenOutput) text() string {
	text := wrapped("  ", fmt.Sprintf("%s (%s)", o.Destination, o.Template))
	for _, f := range o.Files {
		line := f.Change
		if f.Path != o.Destination {
			line = f.Path + ": " + line
		}
		for _, property := range []struct{ name, value string }{{"mode", f.Mode}, {"owner", f.Owner}, {"group", f.Group}} {
			if property.value != "" {
				line += ", " + property.name + " " + property.value
			}
		}
		text += wrapped("    ", line)
	}
	for _, s := range o.Secrets {
		text += wrapped("    ← ", s)
	}
	for _, problem := range []string{o.Error, o.Unwritable} {
		if problem != "" {
			text += wrapped("    ! ", problem)
		}
	}
	if o.Hidden {
		text += wrapped("    ! ", "may ask for more, depending on the secrets above")
	}
	for _, c := range o.Checks {
		text += wrapped("    ", "checked by "+c)
	}
	for _, h := range o.Hooks {
		text += wrapped("    ", "then "+h)
	}
	return text
}
