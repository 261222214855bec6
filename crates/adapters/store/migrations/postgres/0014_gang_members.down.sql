DROP TABLE attempt_member;
