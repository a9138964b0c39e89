package aws

import (
	"errors"
	"strings"
	"testing"
)

func TestTheServiceToAskIsOneOfAWS(t *testing.T) {
	for _, c := range []struct {
		client    client
		signedFor string
		want      string
	}{
		{client{}, "eu-central-1", "https://sts.amazonaws.com/"},
		{client{Region: "us-gov-west-1"}, "", "https://sts.us-gov-west-1.amazonaws.com/"},
		{client{Region: "cn-north-1"}, "", "https://sts.cn-north-1.amazonaws.com.cn/"},
		{client{Endpoint: "https://vpce-1.example.org"}, "", "https://vpce-1.example.org/"},
		{client{ClientRegion: true, Region: "us-east-1"}, "ap-southeast-2", "https://sts.ap-southeast-2.amazonaws.com/"},
	} {
		if got, err := c.client.address(c.signedFor); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.client, got, err, c.want)
		}
	}
	for _, evil := range []string{"", "evil.example.org/?", "us-east-1.evil", "US-EAST-1", "a/b"} {
		var wrong refused
		if got, err := (&client{ClientRegion: true}).address(evil); !errors.As(err, &wrong) {
			t.Errorf("signed for %q: %q, %v", evil, got, err)
		}
	}
}

// No ARN, however odd, is of another account than it says, or admitted by a
// pattern of another.
func FuzzPrincipal(f *testing.F) {
	for _, arn := range []string{
		"arn:aws:sts::123456789012:assumed-role/app/i-0", "arn:aws:iam::123456789012:user/a/b", "arn:aws-cn:iam::123456789012:role/x",
		"arn:aws:iam::123456789012:root", "arn:aws:iam::12:user/x", "arn:::::", "", "arn:aws:iam::123456789012:user/",
	} {
		f.Add(arn)
	}
	f.Fuzz(func(t *testing.T, arn string) {
		p, err := parsePrincipal(arn)
		if err != nil {
			return
		}
		if p.Name == "" || strings.Contains(p.Name, "/") || !strings.HasPrefix(p.Canonical, "arn:") || len(p.Account) != 12 {
			t.Fatalf("%q became %+v", arn, p)
		}
		again, err := parsePrincipal(p.Canonical)
		if err != nil || again.Canonical != p.Canonical || again.Account != p.Account {
			t.Fatalf("%q is %q, which is %+v, %v", arn, p.Canonical, again, err)
		}
		if p.Account != "999999999999" && p.within("arn:aws:iam::999999999999:*") {
			t.Fatalf("%q is admitted by another account's pattern", arn)
		}
	})
}

// No answer, however odd, makes somebody whom its ARN does not name.
func FuzzUnderstand(f *testing.F) {
	f.Add([]byte(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>A</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	f.Add([]byte(`<GetCallerIdentityResponse/>`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p, err := understand(answer)
		if err != nil {
			return
		}
		if said, err := parsePrincipal(p.ARN); err != nil || said.Canonical != p.Canonical || said.Account != p.Account {
			t.Fatalf("%q is %+v", answer, p)
		}
	})
}
