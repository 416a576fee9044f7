package wire

import "testing"

// The partitions are those of the SDK's endpoint rules (aws-sdk-go-v2, partitions.json).
func TestPartition(t *testing.T) {
	f := func(region, want string) {
		t.Helper()
		if got := Partition(region); got != want {
			t.Errorf("%q is in %s, want %s", region, got, want)
		}
	}
	f("us-east-1", "aws")
	f("", "aws")
	f("cn-north-1", "aws-cn")
	f("us-gov-west-1", "aws-us-gov")
	f("us-iso-east-1", "aws-iso")
	f("us-isob-east-1", "aws-iso-b")
	f("eu-isoe-west-1", "aws-iso-e")
	f("us-isof-south-1", "aws-iso-f")
	f("eusc-de-east-1", "aws-eusc")
	f("eu-central-1", "aws")
}
