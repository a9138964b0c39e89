package postgresql

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// atAWS is an identity whose tokens let it in to Amazon RDS and Aurora.
type atAWS struct {
	region      string
	credentials aws.CredentialsProvider
	secrets     []string
}

// aws finds the identity: that of the settings, or what AWS's default chain
// finds in the environment, in files or at the machine's metadata service.
func (c cloud) aws(ctx context.Context) (*atAWS, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(c.Region),
		// Connections that stay open would outlive the database.
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(tokenLimit).WithTransportOptions(
			func(transport *http.Transport) { transport.DisableKeepAlives = true })),
	}
	if c.AccessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)))
	}
	secrets := []string{c.SecretKey, c.SessionToken}
	config, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fault.New(fault.Refused, "reading the settings of AWS: %s: correct the server's environment and AWS files", fault.Scrub(err.Error(), secrets...))
	}
	if config.Region == "" {
		return nil, fault.New(fault.Refused, "aws_region is missing: write aws_region=REGION of the database, such as eu-central-1")
	}
	return &atAWS{config.Region, config.Credentials, secrets}, nil
}

func (a *atAWS) token(ctx context.Context, endpoint, user string) (string, error) {
	token, err := auth.BuildAuthToken(ctx, endpoint, a.region, user, a.credentials)
	if err != nil {
		return "", fault.New(fault.Later, "making a token of AWS: %s: write aws_access_key_id and aws_secret_access_key, or give the server's machine an IAM role",
			fault.Scrub(err.Error(), a.secrets...))
	}
	return token, nil
}

func (a *atAWS) advice() string {
	return "check that the role of this name was granted rds_iam, and that an IAM policy allows rds-db:connect for it, and aws_region"
}
