package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// awsCredentials are what a request to AWS is signed with.
type awsCredentials struct {
	accessKey    string
	secretKey    vault.Sensitive
	sessionToken vault.Sensitive // "" for those that do not end
}

// awsSources looks for credentials where the tools of AWS do: in the
// configuration, the environment, a web identity (EKS), the shared file, a
// container's endpoint (ECS, EKS pod identity) and the instance's metadata.
type awsSources struct {
	configured awsCredentials
	getenv     func(string) string
	metadata   instanceMetadata
	near       cloud
	sts        cloud
	stsAddress string
}

// errNoSource says that a source has nothing to offer.
var errNoSource = errors.New("no credentials here")

// find returns the credentials of the first source that has any. A source
// that is there and fails ends the search: another would be somebody else.
func (s awsSources) find(ctx context.Context) (awsCredentials, error) {
	sources := []func(context.Context) (awsCredentials, error){
		s.fromConfig, s.fromEnvironment, s.fromWebIdentity, s.fromSharedFile, s.fromContainer,
	}
	for _, source := range sources {
		credentials, err := source(ctx)
		if !errors.Is(err, errNoSource) {
			return credentials, err
		}
	}
	if strings.EqualFold(s.getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return awsCredentials{}, errors.New("looking for AWS credentials: there are none in the configuration, the environment and the " +
			"shared file, and AWS_EC2_METADATA_DISABLED forbids to ask the instance; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	credentials, err := s.metadata.credentials(ctx)
	if err != nil {
		return awsCredentials{}, fmt.Errorf("looking for AWS credentials: there are none in the configuration, the environment and the "+
			"shared file, and the instance does not answer: %w; give the instance a role (in a container: a hop limit of 2), "+
			"or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", err)
	}
	return credentials, nil
}

func (s awsSources) fromConfig(context.Context) (awsCredentials, error) {
	c := s.configured
	switch {
	case c.accessKey == "" && c.secretKey == "":
		return c, errNoSource
	case c.accessKey == "" || c.secretKey == "":
		return c, errors.New("reading AWS credentials: access_key and secret_key go together; set both or none")
	}
	return c, nil
}

func (s awsSources) fromEnvironment(context.Context) (awsCredentials, error) {
	c := awsCredentials{
		accessKey:    s.getenv("AWS_ACCESS_KEY_ID"),
		secretKey:    vault.Sensitive(s.getenv("AWS_SECRET_ACCESS_KEY")),
		sessionToken: vault.Sensitive(s.getenv("AWS_SESSION_TOKEN")),
	}
	if c.accessKey == "" || c.secretKey == "" {
		return awsCredentials{}, errNoSource
	}
	return c, nil
}

// fromWebIdentity exchanges the token of a Kubernetes service account for
// credentials of a role.
func (s awsSources) fromWebIdentity(ctx context.Context) (awsCredentials, error) {
	path, role := s.getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), s.getenv("AWS_ROLE_ARN")
	if path == "" || role == "" {
		return awsCredentials{}, errNoSource
	}
	token, err := readCredential("web identity token", path)
	if err != nil {
		return awsCredentials{}, err
	}
	session := s.getenv("AWS_ROLE_SESSION_NAME")
	if session == "" {
		session = "securevault"
	}
	answer, err := s.sts.post(ctx, s.stsAddress+"/", url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {stsVersion}, "RoleArn": {role},
		"RoleSessionName": {session}, "WebIdentityToken": {token.Reveal()},
	})
	if err != nil {
		return awsCredentials{}, fmt.Errorf("assuming the role %q: %w; check its trust policy and the token in %q", role, err, path)
	}
	c := awsCredentials{
		accessKey:    element(answer, "AccessKeyId"),
		secretKey:    vault.Sensitive(element(answer, "SecretAccessKey")),
		sessionToken: vault.Sensitive(element(answer, "SessionToken")),
	}
	if c.accessKey == "" || c.secretKey == "" || c.sessionToken == "" {
		return awsCredentials{}, fmt.Errorf("assuming the role %q: the answer of %q carries no credentials", role, s.stsAddress)
	}
	return c, nil
}

// element returns the text of an XML element that occurs once and holds no
// other.
func element(text, name string) string {
	_, rest, _ := strings.Cut(text, "<"+name+">")
	value, _, found := strings.Cut(rest, "</"+name+">")
	if !found {
		return ""
	}
	return html.UnescapeString(strings.TrimSpace(value))
}

func (s awsSources) fromSharedFile(context.Context) (awsCredentials, error) {
	path := s.getenv("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" && s.getenv("HOME") != "" {
		path = filepath.Join(s.getenv("HOME"), ".aws", "credentials")
	}
	profile := s.getenv("AWS_PROFILE")
	if path == "" {
		return awsCredentials{}, errNoSource
	}
	text, err := readSmall("AWS credentials", path)
	if errors.Is(err, fs.ErrNotExist) && profile == "" && s.getenv("AWS_SHARED_CREDENTIALS_FILE") == "" {
		return awsCredentials{}, errNoSource
	}
	if err != nil {
		return awsCredentials{}, err
	}
	named := profile != ""
	if !named {
		profile = "default"
	}
	c, found := parseProfile(text, profile)
	switch {
	case c.accessKey != "" && c.secretKey != "":
		return c, nil
	case !found && !named:
		return awsCredentials{}, errNoSource
	}
	return awsCredentials{}, fmt.Errorf("reading AWS credentials: %q has no aws_access_key_id and aws_secret_access_key in [%s]; "+
		"write them there, since other ways (role_arn, credential_process, sso) are not followed", path, profile)
}

// parseProfile reads one profile of a shared credentials file.
func parseProfile(text, profile string) (c awsCredentials, found bool) {
	within := false
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, maxCredential)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			within = strings.TrimSpace(name) == profile
			found = found || within
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !within || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "aws_access_key_id":
			c.accessKey = value
		case "aws_secret_access_key":
			c.secretKey = vault.Sensitive(value)
		case "aws_session_token":
			c.sessionToken = vault.Sensitive(value)
		}
	}
	return c, found
}

// fromContainer asks the endpoint that ECS or the EKS pod identity agent
// offers to a container.
func (s awsSources) fromContainer(ctx context.Context) (awsCredentials, error) {
	address := s.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if relative := s.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		address = containerAddress + "/" + strings.TrimLeft(relative, "/")
	}
	if address == "" {
		return awsCredentials{}, errNoSource
	}
	// The hosts that AWS documents for ECS and for EKS.
	if err := secure("AWS_CONTAINER_CREDENTIALS_FULL_URI", address, "169.254.170.2", "169.254.170.23", "fd00:ec2::23"); err != nil {
		return awsCredentials{}, err
	}
	header := http.Header{}
	if path := s.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); path != "" {
		token, err := readCredential("container authorization token", path)
		if err != nil {
			return awsCredentials{}, err
		}
		header.Set("Authorization", token.Reveal())
	} else if token := s.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"); token != "" {
		header.Set("Authorization", strings.TrimSpace(token))
	}
	answer, err := s.near.get(ctx, address, header)
	if err != nil {
		return awsCredentials{}, fmt.Errorf("getting the container's AWS credentials: %w", err)
	}
	return parseCredentials(address, answer)
}

// parseCredentials reads what container endpoints and the instance's
// metadata answer.
func parseCredentials(address, answer string) (awsCredentials, error) {
	type document struct{ AccessKeyId, SecretAccessKey, Token string } //nolint:revive // as AWS spells it
	d, err := decode[document](address, answer)
	if err == nil && (d.AccessKeyId == "" || d.SecretAccessKey == "") {
		err = fmt.Errorf("asking %q: the answer carries no credentials", bareURL(address))
	}
	return awsCredentials{d.AccessKeyId, vault.Sensitive(d.SecretAccessKey), vault.Sensitive(d.Token)}, err
}

const (
	instanceAddress  = "http://169.254.169.254" // of the metadata service on EC2
	containerAddress = "http://169.254.170.2"   // of the credentials endpoint on ECS
)

// instanceMetadata is the metadata service of an EC2 instance, version 2.
type instanceMetadata struct{ cloud }

// read returns one document. Each is asked for with a token of its own, good
// for a minute.
func (m instanceMetadata) read(ctx context.Context, path string) (string, error) {
	token, err := m.send(ctx, http.MethodPut, instanceAddress+"/latest/api/token",
		http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}}, "")
	if err != nil {
		return "", err
	}
	return m.get(ctx, instanceAddress+path, http.Header{"X-Aws-Ec2-Metadata-Token": {strings.TrimSpace(token)}})
}

// credentials returns those of the instance's role.
func (m instanceMetadata) credentials(ctx context.Context) (awsCredentials, error) {
	const path = "/latest/meta-data/iam/security-credentials/"
	roles, err := m.read(ctx, path)
	if err != nil {
		return awsCredentials{}, err
	}
	role, _, _ := strings.Cut(strings.TrimSpace(roles), "\n")
	if role == "" || strings.Contains(role, "/") {
		return awsCredentials{}, fmt.Errorf("asking %q: the instance has no role", instanceAddress+path)
	}
	answer, err := m.read(ctx, path+url.PathEscape(role))
	if err != nil {
		return awsCredentials{}, err
	}
	return parseCredentials(instanceAddress+path, answer)
}
