package admin

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// prometheusType is the content type of the text format.
const prometheusType = "text/plain; version=0.0.4; charset=utf-8"

// writePrometheus writes figures in the Prometheus text format: for each
// family a line of help, one with its type, and one for each sample. Counters
// get the ending that is the custom there.
func writePrometheus(w io.Writer, families []family) error {
	out := bufio.NewWriter(w)
	for _, f := range families {
		if len(f.samples) == 0 {
			continue
		}
		name, kind := prometheusName(f.name), "gauge"
		if f.counter {
			name, kind = name+"_total", "counter"
		}
		_, _ = out.WriteString("# HELP " + name + " " + escapeHelp(f.help) + "\n# TYPE " + name + " " + kind + "\n")
		for _, s := range f.samples {
			_, _ = out.WriteString(name)
			if f.label != "" {
				_, _ = out.WriteString("{" + f.label + `="` + escapeLabel(s.label) + `"}`)
			}
			_, _ = out.WriteString(" " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
		}
	}
	return out.Flush() // bufio keeps the first error
}

// prometheusName turns a name with dots into one that the format allows.
func prometheusName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == ':':
			return r
		default:
			return '_'
		}
	}, name)
}

func escapeHelp(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(text)
}

// escapeLabel also mends what is no UTF-8: one such byte has the collector
// drop the whole answer.
func escapeLabel(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(text, "\uFFFD"))
}
