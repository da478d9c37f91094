"""One folder per Lambda function; `serving` is what they share."""
