package oracle

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTextsAreTakenApartWhereStatementsEnd(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
	}{
		"nothing":                          {" ;\n; -- a;b\n /* c;d */ ;", nil},
		"one without a semicolon":          {" GRANT a TO b ", []string{"GRANT a TO b"}},
		"two":                              {"GRANT a TO b; GRANT c TO d;", []string{"GRANT a TO b", "GRANT c TO d"}},
		"a semicolon in a name":            {`CREATE USER "a;b" IDENTIFIED BY "c;d";`, []string{`CREATE USER "a;b" IDENTIFIED BY "c;d"`}},
		"a semicolon in a string":          {"SELECT 'it''s; it' FROM dual; x", []string{"SELECT 'it''s; it' FROM dual", "x"}},
		"a semicolon in q quotes":          {"SELECT q'[it's; it]' FROM dual; x", []string{"SELECT q'[it's; it]' FROM dual", "x"}},
		"q quotes with other delimiters":   {"a Q'!;'!' ; b nq'{;'}' ; c q'ä;'ä' ; d", []string{"a Q'!;'!'", "b nq'{;'}'", "c q'ä;'ä'", "d"}},
		"a national string":                {"a N';' ; b", []string{"a N';'", "b"}},
		"a word that ends on q":            {"a freq';' ; b", []string{"a freq';'", "b"}},
		"a semicolon in comments":          {"a -- ;\n b /* ; */; c", []string{"a -- ;\n b /* ; */", "c"}},
		"a quote in a comment":             {"a -- don't\n; b", []string{"a -- don't", "b"}},
		"a comment in a string":            {"a '--'; b", []string{"a '--'", "b"}},
		"a placeholder":                    {`ALTER USER {{name}} IDENTIFIED BY "{{password}}"; b`, []string{`ALTER USER {{name}} IDENTIFIED BY "{{password}}"`, "b"}},
		"a block":                          {"BEGIN a; b; END; c;", []string{"BEGIN a; b; END;", "c"}},
		"a block after a comment":          {"/* x */ begin a; end; c", []string{"/* x */ begin a; end;", "c"}},
		"a labelled end":                   {"BEGIN a; END outer; c", []string{"BEGIN a; END outer;", "c"}},
		"blocks in a block":                {"BEGIN BEGIN a; END; IF x THEN b; END IF; LOOP c; END LOOP; END; d", []string{"BEGIN BEGIN a; END; IF x THEN b; END IF; LOOP c; END LOOP; END;", "d"}},
		"a case in a block":                {"BEGIN x := CASE WHEN a THEN b END; CASE y WHEN 1 THEN c; END CASE; END; d", []string{"BEGIN x := CASE WHEN a THEN b END; CASE y WHEN 1 THEN c; END CASE; END;", "d"}},
		"an end in quotes":                 {`BEGIN a('END;'); "END"; END; b`, []string{`BEGIN a('END;'); "END"; END;`, "b"}},
		"declarations":                     {"DECLARE x NUMBER; BEGIN a; END; b", []string{"DECLARE x NUMBER; BEGIN a; END;", "b"}},
		"a declared procedure":             {"DECLARE PROCEDURE p IS BEGIN a; END; BEGIN p; END; b", []string{"DECLARE PROCEDURE p IS BEGIN a; END; BEGIN p; END;", "b"}},
		"a block with a slash after":       {"BEGIN a; END;\n/\nb", []string{"BEGIN a; END;", "b"}},
		"plain SQL with a slash after":     {"a\n / \nb\n/", []string{"a", "b"}},
		"a division":                       {"SELECT 4 / 2 FROM dual; b", []string{"SELECT 4 / 2 FROM dual", "b"}},
		"stored code":                      {"CREATE OR REPLACE EDITIONABLE PROCEDURE p IS\nBEGIN a; END;\n/\nb;", []string{"CREATE OR REPLACE EDITIONABLE PROCEDURE p IS\nBEGIN a; END;", "b"}},
		"stored code at the end":           {"a; CREATE TRIGGER t AFTER LOGON ON SCHEMA BEGIN b; END;", []string{"a", "CREATE TRIGGER t AFTER LOGON ON SCHEMA BEGIN b; END;"}},
		"a table that is called procedure": {"CREATE TABLE procedure_log (a NUMBER); b", []string{"CREATE TABLE procedure_log (a NUMBER)", "b"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := split(test.text)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestQuotesThatDoNotEndAreRefused(t *testing.T) {
	for _, text := range []string{`a "b;`, "a 'b;", "a /* b;", "a q'[b];", "a q'", "a nq'!b'"} {
		if got, err := split(text); !errors.Is(err, errOpenQuote) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func FuzzNothingOfATextIsLost(f *testing.F) {
	for _, seed := range []string{
		"GRANT a TO b; GRANT c TO d;", `CREATE USER "a;b" IDENTIFIED BY 'c'`, "BEGIN IF a THEN b; END IF; END;\n/\nc", "q'[;]' ; nq'!;!'",
		"DECLARE PROCEDURE p IS BEGIN a; END; BEGIN p; END; b", "CREATE OR REPLACE FUNCTION f RETURN x IS\n/\n", "-- a\n/* b */", "\xff;'\xff'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := split(text)
		if err != nil {
			return
		}
		rest := text
		for _, each := range statements {
			_, after, found := strings.Cut(rest, each)
			if !found || strings.TrimSpace(each) != each || each == "" {
				t.Fatalf("%q gives %q", text, statements)
			}
			rest = after
		}
		if strings.Contains(text, "/") {
			return // which would be alone on a line now, or not any more
		}
		again, err := split(strings.Join(statements, "\n/\n"))
		if err != nil || !slices.Equal(again, statements) {
			t.Errorf("%q gives %q, which then gives %q, %v", text, statements, again, err)
		}
	})
}
