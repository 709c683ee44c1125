-- For the user of backup-mysql in docker-compose.yml: what restores need beside the rights on the one
-- database that the image gives it.
GRANT ALL ON `example\_%`.* TO example@'%';
GRANT SET USER ON *.* TO example@'%';
