-- Whether somebody looked at the same thing within the hour is asked at each look.
create index trail_by_look on trail (account, who, what, at) where deed = 'read';
