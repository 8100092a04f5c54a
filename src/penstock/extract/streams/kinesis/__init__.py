"""AWS Kinesis: records read by their sequence numbers, shard by shard, parents before their children."""
