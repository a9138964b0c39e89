package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
	"gopkg.in/yaml.v3"
)

// Values of -format.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// output prints results in the format and the detail the user asked for.
type output struct {
	stdout io.Writer
	stderr io.Writer
	format string
	// field selects one field of the answer; "" is all of it.
	field string
}

// newOutput takes the default format from the environment.
func newOutput(stdio IO) output {
	format := lookupEnv(stdio.Getenv, "FORMAT")
	if format == "" {
		format = formatTable
	}
	return output{stdout: stdio.Stdout, stderr: stdio.Stderr, format: format}
}

func (o *output) flags(set *flag.FlagSet, selectable bool) {
	set.StringVar(&o.format, "format", o.format,
		"Print as `FORMAT`: table, json or yaml.\nEnvironment: SECUREVAULT_FORMAT or VAULT_FORMAT.")
	if selectable {
		set.StringVar(&o.field, "field", "", "Print only the value of this field, by `NAME`.")
	}
}

// check refuses an unknown format before any request is made.
func (o *output) check() error {
	o.format = strings.ToLower(o.format)
	if slices.Contains([]string{formatTable, formatJSON, formatYAML}, o.format) {
		return nil
	}
	return badInput("use table, json or yaml in -format, SECUREVAULT_FORMAT or VAULT_FORMAT",
		"%q is not an output format", o.format)
}

// forHumans tells that messages may accompany the result.
func (o *output) forHumans() bool {
	return o.format == formatTable && o.field == ""
}

// message prints a line for humans; other formats stay silent.
func (o *output) message(format string, args ...any) {
	if o.forHumans() {
		fmt.Fprintf(o.stdout, format+"\n", args...)
	}
}

// answer prints a secret: one field of it, all as a table, or the envelope as
// the server sent it.
func (o *output) answer(a *answer) error {
	switch {
	case o.field != "":
		return o.selected(a)
	case o.format != formatTable:
		return o.document(a.raw)
	}
	o.warn(a)
	rows := [][]string{{"Key", "Value"}}
	for _, f := range fieldsOf(a.secret) {
		rows = append(rows, []string{f.name, f.text()})
	}
	o.table(rows)
	return nil
}

// outcome prints the answer if it holds anything, else the message.
func (o *output) outcome(a *answer, format string, args ...any) error {
	if !a.empty() || (o.format != formatTable && len(a.raw) > 0) {
		return o.answer(a)
	}
	o.warn(a)
	o.message(format, args...)
	return nil
}

// warn prints the server's warnings.
func (o *output) warn(a *answer) {
	if a.secret == nil {
		return
	}
	for _, warning := range a.secret.Warnings {
		fmt.Fprintf(o.stderr, "Warning: %s\n", warning)
	}
}

// selected prints the value of the selected field.
func (o *output) selected(a *answer) error {
	fields := fieldsOf(a.secret)
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == o.field })
	if i < 0 {
		return missingField(o.field, fields)
	}
	if o.format != formatTable {
		return o.encoded(fields[i].value)
	}
	o.value(plainText(fields[i].value))
	return nil
}

// missingField names the fields there are, and the lease that was granted with
// them, so that it is not lost.
func missingField(name string, fields []field) error {
	var names []string
	var lease string
	for _, f := range fields {
		names = append(names, f.name)
		if f.name == fieldLeaseID {
			lease = fmt.Sprintf("; the answer's lease is %q", f.value)
		}
	}
	return badInput(fmt.Sprintf("there are: %s%s", strings.Join(names, ", "), lease),
		"the answer has no field %q", name)
}

// value prints bare text; a terminal gets a line, a pipe the exact bytes.
func (o *output) value(text string) {
	fmt.Fprint(o.stdout, text)
	if file, ok := o.stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprintln(o.stdout)
	}
}

// document prints JSON text as indented JSON or as YAML; nothing for nothing.
func (o *output) document(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if o.format == formatYAML {
		return o.yaml(raw)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fmt.Errorf("formatting the answer: %w", err)
	}
	fmt.Fprintln(o.stdout, indented.String())
	return nil
}

// encoded prints value as JSON or YAML.
func (o *output) encoded(value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("formatting the answer: %w", err)
	}
	return o.document(raw)
}

func (o *output) yaml(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("formatting the answer: %w", err)
	}
	encoder := yaml.NewEncoder(o.stdout)
	encoder.SetIndent(2)
	if err := encoder.Encode(yamlValue(value)); err != nil {
		return fmt.Errorf("formatting the answer: %w", err)
	}
	return encoder.Close()
}

// yamlValue replaces json.Number, which YAML would quote like a string.
func yamlValue(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if x, err := v.Float64(); err == nil {
			return x
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = yamlValue(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = yamlValue(v[key])
		}
	}
	return value
}

// table prints rows in aligned columns, the first underlined as the header.
// It pads by hand because a value of several lines, such as a certificate,
// would end text/tabwriter's column.
func (o *output) table(rows [][]string) {
	const gap = 4
	widths := make([]int, len(rows[0]))
	rule := make([]string, len(rows[0]))
	for i, header := range rows[0] {
		rule[i] = strings.Repeat("-", len(header))
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i])+gap)
		}
	}
	for _, row := range slices.Insert(slices.Clone(rows), 1, rule) {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
		}
		fmt.Fprintln(o.stdout, strings.TrimRight(line.String(), " "))
	}
}
